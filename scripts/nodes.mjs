// The releases of Node that faithd also runs on, besides the one that runs this script. npm has each as a package
// with nothing in it but the program.
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { root, step } from './steps.mjs'

/** One of each line that `engines` of package.json lets in, newest when it was last looked. */
const nodes = ['20.20.2', '22.23.3', '24.21.0', '26.10.0']

/** @param {string} version */
const line = (version) => version.split('.')[0]

/** Those of the lines that this script does not run on itself, so that there are specs on each. */
export const otherNodes = nodes.filter((version) => line(version) !== line(process.versions.node))

/** The oldest and the newest of them are in every run of the tests, as far as they are others. */
export const outermostNodes = otherNodes.filter(
  (version) => version === nodes[0] || version === nodes.at(-1),
)

/** @param {string} version */
const folder = (version) => join(root, 'target', 'node', version)

/** @param {string} version */
const packaged = (version) => `node-linux-${process.arch}@${version}`

/** Where a version's program is. @param {string} version */
export function nodeProgram(version) {
  return join(folder(version), 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
}

/** Installs a version, unless it is there. @param {string} version */
export async function ensureNode(version) {
  if (existsSync(nodeProgram(version))) return
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder(version)]
  await step(`Node ${version}`, 'npm', [...args, packaged(version)])
}
