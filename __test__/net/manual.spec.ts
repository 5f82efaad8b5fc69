/** The manual pages: mandoc and man(1) read them, and they have what the command has. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { GLOBAL_OPTIONS } from '../../cli/ctl/command-options.js'
import { COMMANDS } from '../../cli/ctl/command-table.js'
import { OPTIONS, shownName } from '../../cli/option-table.js'
import { TABLES } from '../../cli/settings/tables.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'man')
const pages = readdirSync(folder)

/** The text of a page as a terminal of 100 columns shows it, without emphasis. */
function shown(page: string): string {
  const args = ['-T', 'ascii', '-O', 'width=100', join(folder, page)]
  const pieces = execFileSync('mandoc', args, { encoding: 'utf8' }).split('\b')
  const last = pieces.pop() ?? ''
  return pieces.map((piece) => piece.slice(0, -1)).join('') + last
}

test('package.json names every page for npm', (t) => {
  const { man } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { man: string[] }
  t.deepEqual(
    man,
    pages.map((page) => `./man/${page}`),
  )
  t.deepEqual(pages, ['faith.4', 'faithctl.8', 'faithd.8', 'faithd.conf.5', 'faithd.toml.5'])
})

for (const page of pages) {
  test(`${page}: mandoc finds no fault, not even of style`, (t) => {
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', join(folder, page)], { encoding: 'utf8' })
    // The pages of other packages may not be installed here; those of this one are looked at below.
    const faults = stdout
      .split('\n')
      .filter((line) => !line.includes('referenced manual not found'))
    t.deepEqual(faults, [''])
  })

  test(`${page}: references to pages of this package lead to one`, (t) => {
    const text = readFileSync(join(folder, page), 'utf8')
    const own = Array.from(
      text.matchAll(/^\.Xr (faith\S*) (\d)/gm),
      ([, name, section]) => `${name}.${section}`,
    )
    t.true(own.length > 0)
    t.deepEqual(
      own.filter((name) => !pages.includes(name)),
      [],
    )
  })

  test(`${page}: man -l shows it`, (t) => {
    const env = { ...process.env, MANPAGER: 'cat', LC_ALL: 'C.UTF-8', MANWIDTH: '100' }
    const { status, stdout, stderr } = spawnSync('man', ['-l', join(folder, page)], {
      env,
      encoding: 'utf8',
    })
    t.is(stderr, '')
    t.is(status, 0)
    t.regex(stdout, new RegExp(`^NAME\\n +${page.slice(0, -2)} `, 'm'))
  })
}

test('the parts that are tables are those of the command', (t) => {
  const args = ['--import', '@oxc-node/core/register', 'scripts/manual.ts', '--check']
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  t.is(stderr, '')
  t.is(status, 0)
})

test('faithd(8) shows every option with its value', (t) => {
  const text = shown('faithd.8')
  for (const option of OPTIONS) {
    const short = option.short === undefined ? '' : `-${option.short}, `
    const { value } = option
    const name = value?.includes('|') ? value : value?.toLowerCase()
    const words = name === undefined ? '' : option.alone === undefined ? ` ${name}` : ` [${name}]`
    const shows = `\n     ${short}--${shownName(option)}${words}`
    // The help of a short name begins on its line.
    t.true(text.includes(`${shows}\n`) || text.includes(`${shows}   `), shownName(option))
  }
})

test('faithd.toml(5) shows every key of each table', (t) => {
  const text = shown('faithd.toml.5')
  for (const key of Object.values(TABLES).flatMap((settings) => Object.keys(settings))) {
    t.regex(text, new RegExp(`^ {5}${key}( {2,}\\S.*)?$`, 'm'))
  }
})

test('faithctl(8) shows every command, and each option of it', (t) => {
  const text = shown('faithctl.8')
  for (const { name, options } of COMMANDS) {
    t.regex(text, new RegExp(`^ {5}${name}(?: |$)`, 'm'))
    for (const { long } of [...options, ...GLOBAL_OPTIONS]) t.true(text.includes(`--${long}`), long)
  }
})
