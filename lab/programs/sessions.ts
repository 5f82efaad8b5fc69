// Holds many sessions with an echo server at once. Each sends a unique message when it opens, and another when all are
// open.
import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'

import { Tally, dial, options, print } from './dial.js'
import { Reader } from './stream.js'

const { count, ...target } = options({ port: 7, count: 2000 })
const start = performance.now()
const errors = new Tally()

interface Session {
  socket: Socket
  reader: Reader
}

async function exchange({ socket, reader }: Session): Promise<void> {
  const message = `${randomUUID()} ${socket.localPort}`
  socket.write(`${message}\n`)
  const answer = await reader.line()
  if (answer !== message) throw new Error(answer === undefined ? 'ended' : 'wrong answer')
}

async function open(): Promise<Session> {
  const socket = await dial(target)
  const session = { socket, reader: new Reader(socket) }
  await exchange(session)
  return session
}

/** Returns the successful results and tallies the failures. */
function settled<T>(results: PromiseSettledResult<T>[]): T[] {
  return results.flatMap((result) => {
    if (result.status === 'fulfilled') return [result.value]
    errors.add(result.reason)
    return []
  })
}

const opened = await Promise.allSettled(Array.from({ length: count }, open))
const sessions = settled(opened)
const answered = await Promise.allSettled(sessions.map(exchange))
const after = settled(answered).length
await Promise.allSettled(
  sessions.map(async ({ socket, reader }) => {
    socket.end()
    await reader.hash()
  }),
)
print({
  count,
  before: sessions.length,
  after,
  errors: errors.counts,
  seconds: (performance.now() - start) / 1000,
})
