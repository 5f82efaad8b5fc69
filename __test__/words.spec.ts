/** `npm run lint` fails on the words and beginnings that prose does without, wherever people read them. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { findingsIn } from '../scripts/words/prose.mjs'
import { endings } from '../scripts/words/sources.mjs'

const script = fileURLToPath(new URL('../scripts/words.mjs', import.meta.url))

/** The findings in a source as `line word`. */
const found = (source: string, ending: string) =>
  findingsIn(source, ending).map(({ line, word }) => `${line} ${word}`)

const wordings: Record<string, string> = {
  whoever: 'A connection that whoever routes wants to have.',
  nobody: 'The relay says so, and nobody listens.',
  somebody: 'A line for somebody else.',
  everybody: 'It takes the time of everybody.',
  Anybody: 'Anybody may read it.',
  whom: 'The server to whom it speaks.',
  'And there is': 'One table. And there is another.',
  'And there are': 'And there are three more.',
  What: 'What comes out of the pump.',
  Whether: 'Whether the client may go there.',
  Who: 'Who has been accepted, and gives up in the same moment.',
  Whose: 'Whose turn it is.',
  Which: 'Which of the ports is open.',
  Why: 'Why the server was not reached.',
  'How much': 'How much each worker has been given and not seen yet.',
  'How it': 'How it ended.',
  'Of a': 'Of a segment in the middle of a connection the pump asks nothing.',
  'That it': 'That it is connected.',
  When: 'When the session was opened.',
}

for (const [word, text] of Object.entries(wordings)) {
  test(`${word} is found in every kind of prose`, (t) => {
    t.deepEqual(found(`First line.\n\n${text}\n`, 'md'), [`3 ${word}`])
    t.deepEqual(found(`- An item. ${text}\n`, 'md'), [`1 ${word}`])
    t.deepEqual(found(`| a | b |\n| - | - |\n| c | ${text} |\n`, 'md'), [`3 ${word}`])
    for (const ending of ['ts', 'mjs', 'rs', 'c', 'h']) {
      t.deepEqual(found(`one(1) // ${text}\n`, ending), [`1 ${word}`], ending)
      t.deepEqual(found(`one(1)\n/**\n * ${text}\n */\n`, ending), [`3 ${word}`], ending)
    }
    for (const mark of ['///', '//!']) t.deepEqual(found(`${mark} ${text}`, 'rs'), [`1 ${word}`])
    for (const ending of ['sh', 'toml', 'yml', 'py']) {
      t.deepEqual(found(`one=1\n# ${text}\n`, ending), [`2 ${word}`], ending)
    }
  })
}

const plain = `The pump ignores mid-connection segments. Is the client gone? What then? When the client resets, the
relay drops the session. It tells what failed, of which session, and whether the server knows how long it took.`

test('prose that begins with its subject passes, and so do questions', (t) => {
  t.deepEqual(found(plain, 'md'), [])
  const lines = plain.split('\n')
  t.deepEqual(found(`/**\n * ${lines.join('\n * ')}\n */`, 'ts'), [])
  t.deepEqual(found(lines.map((line) => `/// ${line}`).join('\n'), 'rs'), [])
  t.deepEqual(found(lines.map((line) => `# ${line}`).join('\n'), 'toml'), [])
})

test('a sentence is followed over the lines of a comment', (t) => {
  // The second line goes on with the first; the third begins a sentence.
  const comment = '// The pump tells\n// what failed. It\n// waits. What it\n// sends is a reset.\n'
  t.deepEqual(found(comment, 'rs'), ['3 What'])
  t.deepEqual(found('let a = 1; // the port\n// what is left\n', 'rs'), ['2 what'])
})

test('headings may be pieces of a sentence, without the words', (t) => {
  t.deepEqual(found('## How it works\n\n| where | what it is |\n| --- | --- |\n', 'md'), [])
  t.deepEqual(found('## How nobody works\n', 'md'), ['1 nobody'])
})

test('the texts of a program are read, its names and code are not', (t) => {
  t.deepEqual(found("fail('cannot tell whoever asked')", 'ts'), ['1 whoever'])
  t.deepEqual(found("test('what a client sends arrives', () => {})", 'ts'), ['1 what'])
  t.deepEqual(found("const help = 'how long a silent side may be gone'", 'ts'), ['1 how long'])
  t.deepEqual(found('fail(`no ${name}\nfor somebody there`)', 'ts'), ['2 somebody'])
  t.deepEqual(found('panic!("nobody is \\" there")', 'rs'), ['1 nobody'])
  t.deepEqual(found('let text = r#"a " of nobody else"#;', 'rs'), ['1 nobody'])
  t.deepEqual(found('puts("nobody is there");', 'c'), ['1 nobody'])
  t.deepEqual(found("user('nobody', 'nobody:nogroup')\nconst nobody = whom", 'ts'), [])
  t.deepEqual(found("say('cannot tell ' +\n  'what the client sent')", 'ts'), [])
})

test('code in prose is no prose, but its comments are', (t) => {
  t.deepEqual(found('Runs as `nobody`, as [this](what-nobody-said.md) shows.', 'md'), [])
  t.deepEqual(found('```\nWhat nobody said\n```\n', 'md'), [])
  t.deepEqual(found('Like this:\n\n```sh\nfaithd # for nobody\n```\n', 'md'), ['4 nobody'])
  t.deepEqual(found('/// An example:\n///\n/// ```\n/// // What it does.\n/// ```', 'rs'), [
    '4 What',
  ])
  t.deepEqual(found('/**\n * @example\n * ```ts\n * go() // what it does\n * ```\n */', 'ts'), [
    '4 what',
  ])
})

test('tags of a doc comment each begin a sentence', (t) => {
  const comment =
    '/**\n * Opens it.\n * @param name - how many\n * @returns Whether it is open\n */'
  t.deepEqual(found(comment, 'ts'), ['3 how many', '4 Whether'])
  t.deepEqual(found('/** @param {{ a: 1 }} name what it has */', 'mjs'), ['1 what'])
  t.deepEqual(found('/** @param {string} what the name */', 'mjs'), [])
})

test('quotes in comments, characters and patterns hide nothing that follows', (t) => {
  t.deepEqual(found("const a = /['\"`]/ // nobody's\n// It's whoever\n", 'ts'), [
    '1 nobody',
    '2 whoever',
  ])
  t.deepEqual(found("let a: &'a char = '\"'; // for nobody\nlet b = '\\''; // whom", 'rs'), [
    '1 nobody',
    '2 whom',
  ])
})

test('the check prints file, line, word and advice, and fails', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'faithd-words-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const run = (...paths: string[]) =>
    spawnSync(process.execPath, [script, ...paths], { cwd: folder, encoding: 'utf8' })
  for (const ending of endings) writeFileSync(join(folder, `good.${ending}`), '')
  writeFileSync(join(folder, 'good.md'), plain)
  t.like(run('.'), { status: 0, stderr: '' })
  writeFileSync(join(folder, 'bad.md'), 'One.\nTwo, for nobody.\n')
  writeFileSync(join(folder, 'bad.json'), '"for nobody at all"')
  const { status, stderr } = run('good.md', 'bad.md')
  t.is(status, 1)
  t.regex(stderr, /^bad\.md:2: "nobody": name the actor: .*\n1 to reword\n$/)
  t.is(run('.').stderr, stderr)
})
