// The other releases of Node that faithd supports, besides the one that runs this script. Each is an npm package that
// contains only the program.
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { root, step } from './steps.mjs'

/** One release of each line that `engines` in package.json accepts, the newest when this list was last updated. */
const nodes = ['20.20.2', '22.23.3', '24.21.0', '26.10.0']

/** @param {string} version */
const line = (version) => version.split('.')[0]

/** Releases of the lines other than this script's own; each gets its own suites. */
export const otherNodes = nodes.filter((version) => line(version) !== line(process.versions.node))

/** The oldest and the newest supported releases, unless this script runs on them. Every test run includes them. */
export const outermostNodes = otherNodes.filter(
  (version) => version === nodes[0] || version === nodes.at(-1),
)

/** @param {string} version */
const folder = (version) => join(root, 'target', 'node', version)

/** @param {string} version */
const packaged = (version) => `node-linux-${process.arch}@${version}`

/** Path of a version's program. @param {string} version */
export function nodeProgram(version) {
  return join(folder(version), 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
}

/** Installs a version unless it is installed. @param {string} version */
export async function ensureNode(version) {
  if (existsSync(nodeProgram(version))) return
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder(version)]
  await step(`Node ${version}`, 'npm', [...args, packaged(version)])
}
