/** The examples of docs/configuration.md are files that faithd reads and that editors find right. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import test from 'ava'
import { check } from '../cli/check.js'
import { parseConfiguration } from '../cli/configuration-file.js'
import { originOf } from '../cli/origin.js'
import { TomlDocument } from '../cli/toml.js'

const text = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

const guide = text('docs/configuration.md')
const examples = Array.from(
  guide.matchAll(/^```toml\n(.*?)^```$/gms),
  ([, example = '']) => example,
)
const schema = new Ajv2020({ allowUnionTypes: true }).compile(
  JSON.parse(text('docs/faithd.schema.json')) as object,
)

test('there are examples', (t) => {
  t.true(examples.length >= 2)
})

for (const [index, example] of examples.entries()) {
  test(`example ${index + 1} is read, and passes what can be checked without its files`, async (t) => {
    const file = parseConfiguration(example, '/etc/faithd/faithd.toml')
    for (const relay of file.configuration.interface.flatMap((faith) => faith.relay)) relay.acl = []
    await t.notThrowsAsync(check(file.configuration, originOf(file, new Map())))
  })

  test(`example ${index + 1} fits the schema for editors`, (t) => {
    t.true(schema(plain(example)), JSON.stringify(schema.errors))
  })
}

for (const wrong of [
  'keepfaith = 1',
  'frobnicate = 1',
  '[log]\nlevel = "loud"',
  '[[interface]]\nmtu = 1279',
  '[[interface]]\n[[interface.relay]]\nconnect-timeout = "10s"',
  '[[interface]]\n[[interface.relay]]\nproxy-protocol = 3',
]) {
  test(`the schema for editors refuses ${wrong.replaceAll('\n', ', ')}`, (t) => {
    t.false(schema(plain(wrong)))
  })
}

test('the guide names every error as faithd tells it', (t) => {
  const said = /^faithd: (\S+):12:3: (.*)$/m.exec(guide)
  const lines = [
    '[[interface]]',
    '[[interface.relay]]',
    ...Array<string>(9).fill(''),
    '  conect-timeout = 10',
    '',
    'drain = "5s"',
  ]
  const error = t.throws(() => parseConfiguration(lines.join('\n'), said?.[1] ?? ''))
  const printed = Array.from(guide.matchAll(/^faithd: (\/etc\/.*)$/gm), ([, line]) => line)
  t.is(error.message, printed.join('\n'))
})

function plain(example: string): unknown {
  return JSON.parse(JSON.stringify(new TomlDocument(example).value))
}
