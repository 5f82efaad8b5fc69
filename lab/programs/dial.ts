// What every client program does first: read its options, open TCP connections, print one line of JSON.
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

/** Options of the command line: `--address`, and the numbers named with their defaults. */
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

/** A connected socket; its side stays open until it is ended, whatever the other side does. */
export async function dial({ address, port }: Target): Promise<Socket> {
  const socket = connect({ host: address, port, allowHalfOpen: true })
  // Whoever reads or writes sees the error too; one that comes in between must not end the program.
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Dials, and sends the line that tells the lab's peer what to do. */
export async function command(target: Target, request: object): Promise<Socket> {
  const socket = await dial(target)
  socket.write(`${JSON.stringify(request)}\n`)
  return socket
}

/** What became of a session with the peer, asked over a connection of its own. */
export async function askReport(target: Target, session: string): Promise<Report> {
  const socket = await command(target, { do: 'report', session })
  const report = await new Reader(socket).report()
  socket.end()
  return report
}

/** How many errors there were of each code. */
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
