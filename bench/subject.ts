/**
 * The subjects of measurement. A subject is a file in subjects/ whose default export is a {@link Subject}, or a list
 * of them. A new file adds a subject to the run, the help, the tables and the drawing.
 */
import { readdirSync } from 'node:fs'

import type { Occupant } from './bed.js'

/**
 * `limit`: an upper bound for any relay. `peer`: an existing alternative. `faithd`: ours. `node`: a JavaScript server
 * on the router. `rules`: faithd with long access lists. `logging`: relays that write a line for each session, and the same without.
 * `datagrams`: those that carry UDP. `pings`: those that carry ping. `resolvers`: those of DNS64. The last six take part only
 * in their own work items.
 */
export type SubjectKind =
  'limit' | 'peer' | 'faithd' | 'node' | 'rules' | 'logging' | 'datagrams' | 'pings' | 'resolvers'

/** A program that a subject runs, and the Debian package that brings it. */
export interface Need {
  /** On the path, or a file by its full name. */
  program: string
  package: string
}

export interface Subject extends Occupant {
  /** The name that `--subjects` takes. */
  name: string
  /** The title in tables and drawings. */
  title: string
  kind: SubjectKind
  /** One line for the help. */
  about: string
  needs?: readonly Need[]
  /** The package whose version is reported; by default the first one needed. */
  package?: string
}

const kinds: readonly SubjectKind[] = [
  'limit',
  'peer',
  'faithd',
  'node',
  'rules',
  'logging',
  'datagrams',
  'pings',
  'resolvers',
]

/** All subjects: the limits, the peers, ours. */
export async function allSubjects(): Promise<Subject[]> {
  const subjects = await defaultExports<Subject | Subject[]>('subjects')
  return subjects
    .flat()
    .toSorted((one, other) => kinds.indexOf(one.kind) - kinds.indexOf(other.kind))
}

/** The default exports of a folder's modules, by file name. */
export async function defaultExports<T>(folder: string): Promise<T[]> {
  const location = new URL(`${folder}/`, import.meta.url)
  const files = readdirSync(location).filter((file) => file.endsWith('.ts'))
  // Sorts without the extension, so that `faithd` comes before `faithd-accept-first`.
  const names = files.map((file) => file.slice(0, -'.ts'.length)).toSorted()
  const modules = names.map(async (name) => {
    const module = (await import(new URL(`${name}.ts`, location).href)) as { default: T }
    return module.default
  })
  return await Promise.all(modules)
}
