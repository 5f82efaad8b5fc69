import { readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'
import test from 'ava'

const ROOT = join(import.meta.dirname, '..')

/** The files that each file of a folder imports, types included. */
function importsOf(folder: string): Map<string, string[]> {
  const files = readdirSync(join(ROOT, folder)).filter((name) => name.endsWith('.ts'))
  return new Map(files.map((name) => [join(folder, name), importsIn(folder, name)]))
}

function importsIn(folder: string, name: string): string[] {
  const text = readFileSync(join(ROOT, folder, name), 'utf8')
  const imports = text.matchAll(/\b(?:from|import\() ?'(\.[^']+)\.js'/g)
  return [...imports].map(([, path]) => normalize(join(folder, `${path}.ts`)))
}

/** The first circle that is found, from a file back to itself. */
function circle(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>()
  const follow = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const next of imports.get(file) ?? []) {
      const found = follow(next, [...path, file])
      if (found !== undefined) return found
    }
    done.add(file)
    return undefined
  }
  for (const file of imports.keys()) {
    const found = follow(file, [])
    if (found !== undefined) return found
  }
  return undefined
}

test('no file of lib/ or cli/ imports itself by way of others', (t) => {
  for (const folder of ['lib', 'cli']) {
    const imports = importsOf(folder)
    t.true([...imports.values()].flat().length > imports.size)
    t.is(circle(imports), undefined)
  }
})

test('a circle is found', (t) => {
  const imports = new Map([
    ['a', ['b', 'c']],
    ['b', []],
    ['c', ['d']],
    ['d', ['c']],
  ])
  t.deepEqual(circle(imports), ['c', 'd', 'c'])
})
