/** `npm run lint` fails on links of documents that lead nowhere. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

const script = fileURLToPath(new URL('../scripts/links.mjs', import.meta.url))

const guide = `# Set up

## What's next?

## Next

### Next
`

/** Checks a README beside docs/guide.md. */
function check(t: ExecutionContext, readme: string, ...options: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'faithd-links-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'docs'))
  writeFileSync(join(folder, 'docs/guide.md'), guide)
  writeFileSync(join(folder, 'README.md'), readme)
  const args = [script, ...options, '.']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
  })
  return { status, stdout, faults: stderr.split('\n').filter(Boolean) }
}

const github = 'https://github.com/faithd/faithd/blob/main'

const good = [
  '[guide](docs/guide.md)',
  '[`guide`](docs/guide.md#set-up)',
  '[apostrophe](docs/guide.md#whats-next)',
  '[the second one](docs/guide.md#next-1)',
  '[folder](docs)',
  '[here](#title)',
  `[on GitHub](${github}/docs/guide.md#next)`,
  '[elsewhere](https://example.org/a?b#c)',
  'code: `[x](gone.md)`',
  '```md\n[x](gone.md)\n```',
  '[by name][name]\n\n[name]: docs/guide.md',
  '<img src="docs/guide.md">',
]

for (const text of good) {
  test(`passes: ${text.replaceAll('\n', ' ')}`, (t) => {
    t.like(check(t, `# Title\n\n${text}\n`), { status: 0, faults: [] })
  })
}

const bad: Record<string, string> = {
  '[file](docs/gone.md)': 'docs/gone.md: no such file',
  '[heading](docs/guide.md#gone)': 'docs/guide.md#gone: no such heading',
  '[twice](docs/guide.md#next-2)': 'docs/guide.md#next-2: no such heading',
  '[here](#gone)': '#gone: no such heading',
  [`[on GitHub](${github}/gone.md)`]: `${github}/gone.md: no such file`,
  '[address](https://exa_mple:port/)': 'https://exa_mple:port/: not an address',
  '[scheme](htp://example.org/)': 'htp://example.org/: not an address',
  '[by name][name]\n[name]: gone.md': 'gone.md: no such file',
  '<img src="gone.svg">': 'gone.svg: no such file',
}

for (const [text, fault] of Object.entries(bad)) {
  test(`fails: ${text.replaceAll('\n', ' ')}`, (t) => {
    const { status, faults } = check(t, `# Title\n\n${text}\n`)
    const line = text.includes('\n') ? 4 : 3
    t.deepEqual({ status, faults }, { status: 1, faults: [`README.md:${line}: ${fault}`] })
  })
}

test('addresses are listed once', (t) => {
  const address = 'https://example.org/'
  const { stdout } = check(t, `[a](${address}) <${address}> [b](https://example.com/)\n`, '--list')
  t.is(stdout, `https://example.com/\n${address}\n`)
})
