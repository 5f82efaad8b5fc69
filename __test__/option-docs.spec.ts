/**
 * What TSDoc owes to whoever reads it in an editor: the default of every option, and codes that exist and that
 * something throws.
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

/** What may be left out of the options of a call, with the comment that explains it. */
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

test('every option says what it is when it is left out', (t) => {
  t.true(options.length >= 30, 'they are found')
  const silent = options.filter(({ comment }) => !/\bdefault\b/i.test(comment))
  t.deepEqual(
    silent.map(({ name }) => name),
    [],
  )
})

test('every code that is written anywhere in the library is in the table and in the type', (t) => {
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

/** What is written as a code in all these places. */
function codes(places: Iterable<RegExpMatchArray>): Set<string> {
  return new Set(Array.from(places, ([place]) => place.match(/`[A-Z0-9_]+`/g) ?? []).flat())
}

test('what functions say they throw is in the table, and the table has no more', (t) => {
  const text = sources.map((file) => file.text).join('\n')
  const table = codes(text.matchAll(/^ \* \| `E.*? \|/gm))
  const thrown = codes(text.matchAll(/@throws \{@link FaithError\}(?:(?!\n *\* @|\*\/).)*/gs))
  t.true(table.size >= 14 && thrown.size >= 14, 'they are found')
  const unsaid = [...table].filter((code) => !thrown.has(code))
  // These are told by events.
  t.deepEqual(unsaid, ['`ERR_FAITH_ROUTE`', '`ERR_FAITH_WORKER`'])
  const unknown = [...thrown].filter((code) => !table.has(code))
  const errnos = new Set(Object.keys(constants.errno).map((name) => `\`${name}\``))
  // Any other errno is in the table as such; this one is of getaddrinfo(3).
  t.deepEqual(
    unknown.filter((code) => !errnos.has(code)),
    ['`ENOTFOUND`'],
  )
})
