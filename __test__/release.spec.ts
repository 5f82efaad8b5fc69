/** A release refuses an addon that some supported system cannot load, and lists all that is in one. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { needsOf } from '../scripts/release/addons.mjs'
import { billOfMaterials } from '../scripts/release/sbom.mjs'
import { addonOf, targets } from '../npm/targets.mjs'
import { root } from '../scripts/steps.mjs'

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
