// Finds circles among files that import each other.

/**
 * One import: its file and line, the file it needs, and its text.
 *
 * @typedef {object} Import
 * @property {string} from
 * @property {number} line
 * @property {string} to
 * @property {string} text
 */

/**
 * Finds the shortest circle of every knot. A knot is a set of files that all reach each other. A circle lists its
 * imports in order; the last one leads back to the file of the first.
 *
 * @param {readonly Import[]} imports
 * @returns {{ circle: Import[], files: string[] }[]}
 */
export function findCircles(imports) {
  /** @type {Map<string, Import[]>} */
  const byFile = new Map()
  for (const item of imports) {
    if (item.from === item.to) continue
    const list = byFile.get(item.from)
    if (list === undefined) byFile.set(item.from, [item])
    else list.push(item)
  }
  const reached = new Map([...byFile.keys()].map((file) => [file, reach(byFile, file)]))
  const circles = []
  const seen = new Set()
  for (const file of [...byFile.keys()].toSorted()) {
    if (seen.has(file) || !reached.get(file)?.has(file)) continue
    const others = [...(reached.get(file) ?? [])]
    const files = others.filter((other) => reached.get(other)?.has(file)).toSorted()
    for (const member of files) seen.add(member)
    const ways = files.map((member) => wayBack(byFile, member))
    const [circle] = ways.toSorted((one, other) => one.length - other.length)
    circles.push({ circle: circle ?? [], files })
  }
  return circles
}

/**
 * Returns all files that a file imports, directly or through others.
 *
 * @param {Map<string, Import[]>} byFile
 * @param {string} start
 */
function reach(byFile, start) {
  const found = new Set()
  const open = [start]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    for (const { to } of byFile.get(file) ?? []) {
      if (found.has(to)) continue
      found.add(to)
      open.push(to)
    }
  }
  return found
}

/**
 * Finds the shortest path from a file back to itself.
 *
 * @param {Map<string, Import[]>} byFile
 * @param {string} start
 * @returns {Import[]}
 */
function wayBack(byFile, start) {
  const seen = new Set()
  /** @type {Import[][]} */
  let ways = [[]]
  while (ways.length > 0) {
    const longer = []
    for (const way of ways) {
      for (const item of byFile.get(way.at(-1)?.to ?? start) ?? []) {
        if (item.to === start) return [...way, item]
        if (seen.has(item.to)) continue
        seen.add(item.to)
        longer.push([...way, item])
      }
    }
    ways = longer
  }
  return []
}
