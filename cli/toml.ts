/**
 * The text of a TOML file as a value, with the line and the column of everything in it.
 *
 * Objects have no prototype, so that no key, such as `__proto__`, is anything but a key.
 */
import { type AST, ParseError, parseTOML } from 'toml-eslint-parser'
import type { Path } from './configuration.js'

/** A place in a text, both counted from 1. */
export interface Position {
  line: number
  column: number
}

/** A text that is no TOML. */
export class TomlError extends Error {
  override readonly name = 'TomlError'
  readonly position: Position

  constructor(position: Position, message: string) {
    super(message)
    this.position = position
  }
}

type Value = unknown
type Table = Record<string, Value>
type Container = Table | Value[]

/** The values of a TOML file, and their places. */
export class TomlDocument {
  readonly value: Table = table()
  readonly #values = new Map<string, Position>()
  readonly #keys = new Map<string, Position>()

  /** @throws TomlError for the first place that is no TOML: what follows cannot be told from it */
  constructor(text: string) {
    for (const node of parse(text).body[0].body) {
      if (node.type === 'TOMLKeyValue') this.#set(this.value, [], node)
      else {
        const opened = this.#open(this.value, [], node.resolvedKey, node.key)
        for (const entry of node.body) this.#set(opened, node.resolvedKey, entry)
      }
    }
  }

  /** Gives the place where a value begins, or what it would be in. */
  placeOfValue(path: Path): Position {
    return find(this.#values, path)
  }

  /** Gives the place where a key stands, or the table that it would be in. */
  placeOfKey(path: Path): Position {
    return find(this.#keys, path)
  }

  /** Finds or makes the tables along `steps`, and gives the last. */
  #open(from: Table, above: Path, steps: Path, node: AST.TOMLNode): Table {
    let container: Container = from
    steps.forEach((step, index) => {
      const path = [...above, ...steps.slice(0, index + 1)]
      this.#note(path, node, node)
      const made: Container = typeof steps[index + 1] === 'number' ? [] : table()
      container = ((container as Table)[step] ??= made) as Container
    })
    return container as unknown as Table
  }

  #set(into: Table, above: Path, { key, value }: AST.TOMLKeyValue): void {
    const names = key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value))
    const last = names.pop() ?? ''
    const inner = this.#open(into, above, names, key)
    const path = [...above, ...names, last]
    this.#note(path, key, value)
    inner[last] = this.#read(value, path)
  }

  #read(node: AST.TOMLContentNode, path: Path): Value {
    if (node.type === 'TOMLArray') {
      return node.elements.map((element, index) => {
        const at = [...path, index]
        this.#note(at, element, element)
        return this.#read(element, at)
      })
    }
    if (node.type === 'TOMLInlineTable') {
      const inline = table()
      for (const entry of node.body) this.#set(inline, path, entry)
      return inline
    }
    return node.value
  }

  #note(path: Path, key: AST.TOMLNode, value: AST.TOMLNode): void {
    const name = nameOf(path)
    if (!this.#keys.has(name)) this.#keys.set(name, placeOf(key))
    if (!this.#values.has(name)) this.#values.set(name, placeOf(value))
  }
}

function parse(text: string): AST.TOMLProgram {
  try {
    return parseTOML(text)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    const { lineNumber: line, column, message } = error
    throw new TomlError(
      { line, column: column + 1 },
      explained(message, text.split('\n')[line - 1]),
    )
  }
}

/** The parser's message in terms of what to write, where the line shows what was meant. */
function explained(message: string, line = ''): string {
  const said = `${message.charAt(0).toLowerCase()}${message.slice(1)}`
  const [, key, value = ''] =
    /^\s*([\w.-]+)\s*[=:]\s*([^"'\s[{#][^#]*?)\s*(?:#.*)?$/.exec(line) ?? []
  if (message.startsWith('Defining a key')) return 'it is already defined above; keep one of them'
  if (key === undefined) return said
  const isLegal = /^(true|false|[\d._-]+)$/.test(value)
  return isLegal
    ? `${said}; write ${key} = ${value}`
    : `${said}; texts stand in quotes: ${key} = "${value}"`
}

function find(places: ReadonlyMap<string, Position>, path: Path): Position {
  for (let length = path.length; length > 0; length -= 1) {
    const place = places.get(nameOf(path.slice(0, length)))
    if (place !== undefined) return place
  }
  return { line: 1, column: 1 }
}

function placeOf({ loc: { start } }: AST.TOMLNode): Position {
  return { line: start.line, column: start.column + 1 }
}

function nameOf(path: Path): string {
  return JSON.stringify(path)
}

function table(): Table {
  return Object.create(null) as Table
}
