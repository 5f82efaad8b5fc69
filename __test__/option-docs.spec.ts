/**
 * Checks TSDoc for readers in an editor: every option has its default, and every error code exists and is thrown
 * somewhere.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import test from 'ava'
import ts from 'typescript'

const directory = new URL('../lib/', import.meta.url)
const sources = readdirSync(directory).map((name) => {
  const text = readFileSync(new URL(name, directory), 'utf8')
  return ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true)
})

/** The optional options of a call, each with its comment. */
const options = sources.flatMap((file) =>
  file.statements
    .filter((node) => ts.isInterfaceDeclaration(node))
    .filter(({ name }) =>
      /^Faith\w+(?:Options|Settings)$|^(?:MappingOptions|AccessRule)$/.test(name.text),
    )
    .flatMap(({ name, members }) =>
      members
        .filter(({ questionToken }) => questionToken !== undefined)
        .map((member) => ({
          name: `${name.text}.${member.name?.getText(file)}`,
          comment: file.text.slice(member.getFullStart(), member.getStart(file)),
        })),
    ),
)

test('every option documents its default', (t) => {
  t.true(options.length >= 30, 'the options are found')
  const silent = options.filter(({ comment }) => !/\bdefault\b/i.test(comment))
  t.deepEqual(
    silent.map(({ name }) => name),
    [],
  )
})

test('every code in the library’s sources is in the table and in the type', (t) => {
  const text = sources.map((file) => file.text).join('\n')
  const written = new Set(text.match(/\bERR_FAITH_[A-Z0-9_]+/g))
  const table = new Set(
    Array.from(text.matchAll(/^ \* \| `(ERR_FAITH_\w+)` \|/gm), ([, code]) => code),
  )
  const typed = new Set(
    Array.from(text.matchAll(/^ {2}\| '(ERR_FAITH_\w+)'/gm), ([, code]) => code),
  )
  t.deepEqual([...table].toSorted(), [...written].toSorted())
  t.deepEqual([...typed].toSorted(), [...written].toSorted())
})

/** The codes written in these places. */
function codes(places: Iterable<RegExpMatchArray>): Set<string> {
  return new Set(Array.from(places, ([place]) => place.match(/`[A-Z0-9_]+`/g) ?? []).flat())
}

test('the table lists exactly the codes that functions document', (t) => {
  const text = sources.map((file) => file.text).join('\n')
  const table = codes(text.matchAll(/^ \* \| `E.*? \|/gm))
  const thrown = codes(text.matchAll(/@throws \{@link FaithError\}(?:(?!\n *\* @|\*\/).)*/gs))
  t.true(table.size >= 14 && thrown.size >= 14, 'they are found')
  const unsaid = [...table].filter((code) => !thrown.has(code))
  // Events report these.
  t.deepEqual(unsaid, ['`ERR_FAITH_RESOLVE`', '`ERR_FAITH_ROUTE`', '`ERR_FAITH_WORKER`'])
  const unknown = [...thrown].filter((code) => !table.has(code))
  const errnos = new Set(Object.keys(constants.errno).map((name) => `\`${name}\``))
  // Other errnos are in the table as a group. This code comes from getaddrinfo(3).
  t.deepEqual(
    unknown.filter((code) => !errnos.has(code)),
    ['`ENOTFOUND`'],
  )
})
