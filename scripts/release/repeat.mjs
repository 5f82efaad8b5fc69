// A second build of the same sources, in another folder, must give the same bytes: so anyone can check that a
// published package comes from these sources.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { Failure, print, root, step } from '../steps.mjs'
import { emptied } from '../../npm/packages.mjs'
import { folder as tools } from './tools.mjs'

/**
 * @param {readonly string[]} names platforms, or none for all
 * @param {string} output the folder of what was packed
 */
export async function repeat(names, output) {
  const copy = emptied(join(root, 'target/again/faithd'))
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
  // The addon of this machine is not packed, and need not be built again for the types that come of it: its stamp is
  // the last, and newer than all sources. The other files keep their times, so npm's packages are newer than its lock.
  const native = readdirSync(root).filter((name) => name.endsWith('.node'))
  const stamp = 'target/faithd-native.stamp'
  for (const file of [...files.split('\0').filter(Boolean), ...native, 'native.d.cts', stamp]) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(root, file), join(copy, file), { preserveTimestamps: file !== stamp })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  // The addons for musl have the paths of the standard library's sources in them: relative to the checkout for tools in
  // it, and else absolute. A symbolic link would lead out of the checkout; hard links do not.
  if (!process.env['FAITHD_RELEASE_CACHE']) {
    execFileSync('cp', ['-al', tools, join(copy, 'target/release-tools')])
  }
  const args = [join(copy, 'scripts/release.mjs'), '--unproved', ...names]
  await step('the same once more, elsewhere', process.execPath, args)
  const differing = names.length > 0 ? addonsThatDiffer(copy) : sumsThatDiffer(copy, output)
  if (differing.length > 0) throw new Failure(`a second build differs in ${differing.join(', ')}`)
  print('a second build in another folder gives the same bytes')
}

/** @param {string} copy */
function addonsThatDiffer(copy) {
  return readdirSync(join(root, 'target/addons')).filter((name) => {
    const [one, other] = [root, copy].map((top) => readFileSync(join(top, 'target/addons', name)))
    return one === undefined || other === undefined || !one.equals(other)
  })
}

/** @param {string} copy @param {string} output */
function sumsThatDiffer(copy, output) {
  const [one = [], other = []] = [output, join(copy, 'target/packages')].map((folder) =>
    readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trim().split('\n'),
  )
  return one.filter((line) => !other.includes(line)).map((line) => line.split('  ')[1] ?? line)
}
