// tools.lock: the packages that the release tools are, a line each, with the SHA-256 of what was fetched when it was written.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @typedef {{ tool: string, from: string, name: string, arch: string, version: string, sha256: string }} Pin */

const file = fileURLToPath(new URL('tools.lock', import.meta.url))

/** @returns {Pin[]} */
export function readLock() {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map((line) => {
    const [tool = '', from = '', name = '', arch = '', version = '', sha256 = ''] = line.split(' ')
    return { tool, from, name, arch, version, sha256 }
  })
}

/** @param {readonly Pin[]} pins */
export function writeLock(pins) {
  writeFileSync(file, format(pins))
}

/** @param {readonly Pin[]} pins */
export function format(pins) {
  return pins
    .map(
      (pin) => [pin.tool, pin.from, pin.name, pin.arch, pin.version, pin.sha256].join(' ') + '\n',
    )
    .join('')
}

/** @param {string} path */
export function sumOf(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}
