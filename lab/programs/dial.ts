// The first steps of every client program: read options, open TCP connections, print one line of JSON.
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { parseArgs } from 'node:util'

import { Reader } from './stream.js'
import type { Report } from './stream.js'

export interface Target {
  address: string
  port: number
}

/** Command-line options: `--address`, and the named numbers with their defaults. */
export function options<Numbers extends { port: number }>(
  defaults: Numbers,
): Numbers & { address: string } {
  const { values } = parseArgs({
    options: Object.fromEntries(
      ['address', ...Object.keys(defaults)].map((name) => [name, { type: 'string' as const }]),
    ),
  })
  const numbers = Object.entries(defaults).map(([name, fallback]) => [
    name,
    Number(values[name] ?? fallback),
  ])
  return { ...(Object.fromEntries(numbers) as Numbers), address: String(values['address'] ?? '') }
}

/** A connected socket. Its own side stays open until the program ends it, even after the peer's FIN. */
export async function dial({ address, port }: Target): Promise<Socket> {
  const socket = connect({ host: address, port, allowHalfOpen: true })
  // Keeps an error between reads from ending the program; the next read or write sees it too.
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Dials and sends the lab's peer its command line. */
export async function command(target: Target, request: object): Promise<Socket> {
  const socket = await dial(target)
  socket.write(`${JSON.stringify(request)}\n`)
  return socket
}

/** Asks the peer for its report of a session, over a separate connection. */
export async function askReport(target: Target, session: string): Promise<Report> {
  const socket = await command(target, { do: 'report', session })
  const report = await new Reader(socket).report()
  socket.end()
  return report
}

/** Counts errors by code. */
export class Tally {
  readonly counts: Record<string, number> = {}

  add(error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException
    const name = code ?? message
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }
}

export function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
