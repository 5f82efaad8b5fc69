/**
 * What is measured. A subject is a file in subjects/ whose default export is a {@link Subject}, or a list
 * of them; adding a file adds a subject, to the run, the help, the tables and the drawing.
 */
import { readdirSync } from 'node:fs'

import type { Occupant } from './bed.js'

/**
 * `limit`: what no relay can pass. `peer`: what people use instead. `faithd`: ours. `node`: a server in
 * JavaScript on the router, `rules`: faithd with long access lists; each for the work that measures those.
 */
export type SubjectKind = 'limit' | 'peer' | 'faithd' | 'node' | 'rules'

/** A program that a subject runs, and the Debian package that brings it. */
export interface Need {
  /** On the path, or a file by its full name. */
  program: string
  package: string
}

export interface Subject extends Occupant {
  /** What `--subjects` takes. */
  name: string
  /** What tables and drawings say. */
  title: string
  kind: SubjectKind
  /** One line for the help. */
  about: string
  needs?: readonly Need[]
  /** The package whose version is reported; by default the first one needed. */
  package?: string
}

const kinds: readonly SubjectKind[] = ['limit', 'peer', 'faithd', 'node', 'rules']

/** Every subject there is: the limits, the peers, ours. */
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
  // Without the extension, so that `faithd` comes before `faithd-accept-first`.
  const names = files.map((file) => file.slice(0, -'.ts'.length)).toSorted()
  const modules = names.map(async (name) => {
    const module = (await import(new URL(`${name}.ts`, location).href)) as { default: T }
    return module.default
  })
  return await Promise.all(modules)
}
