// The server of transfer, halfclose and reset. The client's first line is the command:
//
//   {"do":"transfer","up":N,"down":N}       send `down` bytes while reading `up`; then report, and end
//   {"do":"collect","down":N}               read to the client's end; only then report, send `down` bytes, and end
//   {"do":"greet","down":N,"session":ID}    send `down` bytes and end; go on reading to the client's end
//   {"do":"abort"}                          say "ready", wait for one byte, reset the connection
//   {"do":"watch","session":ID}             say "ready", read until the connection ends or fails
//   {"do":"report","session":ID}            answer with the result of a greet or a watch, once it is known
//
// A report is one line of JSON.
import { createServer } from 'node:net'
import type { Socket } from 'node:net'

import { options } from './dial.js'
import { Reader, send } from './stream.js'
import type { Report } from './stream.js'

const { address, port } = options({ port: 7000 })

interface Request {
  do: string
  up?: number
  down?: number
  session?: string
}

/** A report that one connection makes and another asks for, in either order. */
class Pending {
  settle!: (report: Report) => void
  readonly report = new Promise<Report>((resolve) => {
    this.settle = resolve
  })
}

const reports = new Map<string, Pending>()

function reportOf(session: string): Pending {
  const known = reports.get(session)
  if (known) return known
  const pending = new Pending()
  reports.set(session, pending)
  return pending
}

const say = (socket: Socket, value: unknown) => socket.write(`${JSON.stringify(value)}\n`)

type Behaviour = (socket: Socket, reader: Reader, request: Request) => Promise<void>

const behaviours: Record<string, Behaviour> = {
  async transfer(socket, reader, { up = 0, down = 0 }) {
    const [received, sent] = await Promise.all([reader.hash(up), send(socket, 'down', down)])
    say(socket, { received, sent })
    socket.end()
  },
  async collect(socket, reader, { down = 0 }) {
    const received = await reader.hash()
    say(socket, { received })
    await send(socket, 'down', down)
    socket.end()
  },
  async greet(socket, reader, { down = 0, session = '' }) {
    await send(socket, 'down', down)
    socket.end()
    reportOf(session).settle({ received: await reader.hash() })
  },
  async abort(socket, reader) {
    say(socket, 'ready')
    await reader.hash(1)
    socket.resetAndDestroy()
  },
  async watch(socket, reader, { session = '' }) {
    say(socket, 'ready')
    let ended = 'end'
    try {
      await reader.hash()
    } catch (error) {
      ended = (error as NodeJS.ErrnoException).code ?? String(error)
    }
    reportOf(session).settle({ ended })
    socket.destroy()
  },
  async report(socket, _reader, { session = '' }) {
    say(socket, await reportOf(session).report)
    reports.delete(session)
    socket.end()
  },
}

async function serve(socket: Socket): Promise<void> {
  const reader = new Reader(socket)
  const line = await reader.line()
  const request = JSON.parse(line ?? '{"do":"nothing"}') as Request
  const behaviour = behaviours[request.do]
  if (behaviour) await behaviour(socket, reader, request)
  else socket.destroy()
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  // Keeps the error from ending the server; the reader sees it too.
  socket.on('error', () => undefined)
  serve(socket).catch((error: unknown) => {
    process.stderr.write(`peer: ${String(error)}\n`)
    socket.destroy()
  })
})
server.listen({ port, host: address || '0.0.0.0', backlog: 8192 }, () =>
  process.stdout.write('listening\n'),
)
