/** Records events and messages of `node:diagnostics_channel` for the driver. */
import { subscribe } from 'node:diagnostics_channel'
import { FaithSocket, type FaithDiagnostics } from '../../index.js'
import { told, watch } from './kept.js'

/** A message; a socket in it is replaced by its destination. */
export type Published = [channel: string, message: object]

const published: Published[] = []

function plain(message: object): object {
  const entries = Object.entries(message).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof FaithSocket ? value.destination : value,
  ])
  return Object.fromEntries(entries) as object
}

export const eventVerbs = {
  /** Records messages on these channels from now on. */
  subscribe(...channels: (keyof FaithDiagnostics)[]): void {
    for (const name of channels) {
      subscribe(name, (message) => published.push([name, plain(message as object)]))
    }
  },

  published: (): Published[] => published,

  watch,
  told,
}
