/** Events of interfaces, and channels of `node:diagnostics_channel`, as the driver notes them. */
import { subscribe } from 'node:diagnostics_channel'
import {
  FaithInterface,
  FaithListener,
  FaithSocket,
  type FaithDiagnostics,
  type FaithDrops,
  type FaithWarning,
} from '../../index.js'
import { recall } from './kept.js'

/** A message, with a socket by its destination. */
export type Published = [channel: string, message: object]

const published: Published[] = []
const dropped = new Map<number, FaithDrops[]>()
const warnings = new Map<number, FaithWarning[]>()
const watched = new Map<number, unknown[]>()

function plain(message: object): object {
  const entries = Object.entries(message).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof FaithSocket ? value.destination : value,
  ])
  return Object.fromEntries(entries) as object
}

export const eventVerbs = {
  /** Notes what is published on these channels from now on. */
  subscribe(...channels: (keyof FaithDiagnostics)[]): void {
    for (const name of channels) {
      subscribe(name, (message) => published.push([name, plain(message as object)]))
    }
  },

  published: (): Published[] => published,

  /** Notes the events `prefix` and `keepfaith` from now on. */
  watch(id: number): void {
    const events: unknown[] = []
    recall(id, FaithInterface)
      .on('prefix', (change) => events.push(change))
      .on('keepfaith', (on) => events.push(on))
    watched.set(id, events)
  },

  /** Notes the events `exhausted` of a listener from now on. */
  watchShortages(id: number): void {
    const events: unknown[] = []
    recall(id, FaithListener).on('exhausted', (shortage) => events.push(shortage))
    watched.set(id, events)
  },

  /** Notes the events `warning` from now on. */
  watchWarnings(id: number): void {
    const some: FaithWarning[] = []
    recall(id, FaithInterface).on('warning', (warning) => some.push(warning))
    warnings.set(id, some)
  },

  warnings: (id: number): FaithWarning[] => warnings.get(id) ?? [],

  /** Notes the events `drop` from now on. */
  watchDrops(id: number): void {
    const drops: FaithDrops[] = []
    recall(id, FaithInterface).on('drop', (some) => drops.push(some))
    dropped.set(id, drops)
  },

  dropped: (id: number): FaithDrops[] => dropped.get(id) ?? [],

  watched: (id: number): unknown[] => watched.get(id) ?? [],
}
