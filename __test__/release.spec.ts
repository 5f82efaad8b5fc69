/** A release refuses an addon that some supported system cannot load, and lists all that is in one. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { needsOf } from '../scripts/release/addons.mjs'
import { hashOf, sources } from '../scripts/release/kept-addons.mjs'
import { billOfMaterials } from '../scripts/release/sbom.mjs'
import { addonOf, targets } from '../npm/targets.mjs'
import { root } from '../scripts/steps.mjs'
import { temporary } from './fixtures/installed.js'

const own = targets.find((target) => existsSync(join(root, addonOf(target)))) ?? targets[0]
if (own === undefined) throw new Error('there are no targets')
const addon = join(root, addonOf(own))

test('an addon that is linked to another C library is refused', (t) => {
  const libc = own.libc === 'musl' ? 'glibc' : 'musl'
  t.throws(() => needsOf({ ...own, libc }, addon), { message: /needs .*libc\.so/ })
})

test('an addon that needs a newer glibc than the oldest supported one is refused', (t) => {
  if (own.libc === 'musl') {
    t.pass('musl has no versions')
  } else {
    const refused = /needs glibc 2\.\d+; 2\.1 must be enough/
    t.throws(() => needsOf({ ...own, glibc: '2.1' }, addon), { message: refused })
    t.regex(needsOf({ ...own, glibc: '2.999' }, addon), /^glibc 2\.\d+$/)
  }
})

interface Bill {
  components: { 'bom-ref': string }[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

/** A crate that needs others. */
function crate(name: string, ...needs: string[]) {
  return { name, version: '1.0.0', licence: 'MIT', folder: '/', needs }
}

test('the list of parts has each crate once, and names no part that it has not', (t) => {
  const main = { name: 'faithd', version: '2.0.0', sha256: 'aa' }
  const platform = { name: 'faithd-linux-x64-gnu', version: '2.0.0', sha256: 'bb' }
  const crates = [crate('faithd', 'libc@1.0.0'), crate('libc')]
  const standard = [crate('std', 'libc@1.0.0'), crate('libc')]
  const bill = JSON.parse(billOfMaterials(main, [platform], crates, standard)) as Bill
  const names = bill.components.map((component) => component['bom-ref'])
  t.deepEqual(names.toSorted(), [
    'pkg:cargo/faithd@1.0.0',
    'pkg:cargo/libc@1.0.0',
    'pkg:cargo/std@1.0.0',
    'pkg:npm/faithd-linux-x64-gnu@2.0.0',
  ])
  for (const { ref, dependsOn } of bill.dependencies) {
    for (const part of dependsOn) t.true(names.includes(part), `${ref} needs ${part}`)
  }
})

test('a kept addon is for the same files with the same contents', (t) => {
  const folder = temporary('faithd-kept-')
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'src/inner'), { recursive: true })
  const file = join(folder, 'src/inner/lib.rs')
  writeFileSync(file, 'one')
  const first = hashOf(folder, ['src'])
  writeFileSync(file, 'two')
  const changed = hashOf(folder, ['src'])
  renameSync(file, join(folder, 'src/inner/main.rs'))
  const renamed = hashOf(folder, ['src'])
  t.is(new Set([first, changed, renamed]).size, 3)
  renameSync(join(folder, 'src/inner/main.rs'), file)
  writeFileSync(file, 'one')
  t.is(hashOf(folder, ['src']), first)
})

test('a push that changes what an addon is built of has every platform built', (t) => {
  const workflow = readFileSync(join(root, '.github/workflows/release.yml'), 'utf8')
  const patterns = Array.from(workflow.matchAll(/^ {6}- '(.+)'$/gm), ([, pattern = '']) => pattern)
  const [onPush, onPullRequest] = [
    patterns.slice(0, patterns.length / 2),
    patterns.slice(patterns.length / 2),
  ]
  t.deepEqual(onPush, onPullRequest)
  for (const source of sources) {
    t.true(existsSync(join(root, source)), source)
    t.true(
      onPush.some((pattern) => matches(pattern, source)),
      source,
    )
  }
})

/** Tells if a pattern of a workflow matches a file, or everything in a folder. */
function matches(pattern: string, path: string): boolean {
  return pattern.endsWith('/**') ? `${path}/`.startsWith(pattern.slice(0, -2)) : pattern === path
}
