// The licences of what others wrote in the addons, as one text: each licence once, with those whose it is.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { root } from '../steps.mjs'
import { toolPath } from './tools.mjs'

/** @typedef {import('./crates.mjs').Crate} Crate */

const rule = '-'.repeat(80)

/** @param {readonly Crate[]} crates those of others */
export function thirdPartyLicences(crates) {
  /** @type {Map<string, string[]>} */
  const owners = new Map()
  const add = (/** @type {string} */ text, /** @type {string} */ owner) =>
    owners.set(text, [...new Set([...(owners.get(text) ?? []), owner])])
  for (const crate of crates) {
    const owner = `${crate.name} ${crate.version} (${crate.licence})`
    const texts = textsIn(crate.folder)
    for (const text of texts) add(text, owner)
    if (texts.length === 0) add(mitOf(`the authors of ${crate.name}`), owner)
  }
  const unwinder = toolPath('zig', 'python/ziglang/lib/libunwind/LICENSE.TXT')
  add(readFileSync(unwinder, 'utf8').trim(), 'libunwind of LLVM (Apache-2.0 WITH LLVM-exception)')
  const head = `The addons of faithd contain code by others, under these licences. Where a crate gives a choice
of licences (OR), faithd takes the MIT licence if that is one of them.
`
  const parts = [...owners].map(
    ([text, names]) => `${rule}\n${names.join('\n')}\n${rule}\n\n${text}\n`,
  )
  return [head, ...parts].join('\n')
}

/** The MIT licence, for crates that name it and come without its text. @param {string} authors */
function mitOf(authors) {
  const own = readFileSync(join(root, 'LICENSE-MIT'), 'utf8')
  return own.replace(/Copyright .*/, `Copyright (c) ${authors}`).trim()
}

/** @param {string} folder */
function textsIn(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^(licen[cs]e|copying|copyright|notice|unlicense)/i.test(name))
    .toSorted()
    .flatMap((name) => {
      const text = readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n').trim()
      return text === '' ? [] : [text]
    })
}
