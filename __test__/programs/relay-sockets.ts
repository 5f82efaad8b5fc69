// TCP sockets under remote control, for specs that decide each step of both ends of a connection. A line of JSON on
// standard input is an order; a line of JSON on standard output is an event:
//
//   {"do":"listen","id":"s","port":7100}     → {"id":"s","event":"listening"}, then for each connection
//                                              {"id":"s/1","event":"accepted","from":…,"port":…}
//       "address":ADDRESS                      listen there; every IPv4 address by default
//       "greet":TEXT, "leave":"end"|"reset"    send TEXT to every client; then leave at once
//   {"do":"connect","id":"c","address":…,"port":…}  → {"id":"c","event":"connected","port":ITS_OWN}
//   {"do":"write","id":"c","text":…}
//   {"do":"flood","id":"c"}                  write as much as the connection takes, until it ends
//   {"do":"pause"|"resume","id":"c"}         stop reading; read again
//   {"do":"end"|"reset","id":"c"}
//   {"do":"status","id":"c","turn":N}        → {"turn":N,"received":BYTES,"sent":BYTES,"text":…}
//
// A connection's own events are "end" and the code of an error, each at most once.
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'

import { Ending } from '../../lab/programs/ending.js'

interface Order {
  do: string
  id: string
  address?: string
  port?: number
  greet?: string
  leave?: 'end' | 'reset'
  text?: string
  turn?: number
}

interface End {
  socket: Socket
  received: number
  /** The first received bytes, as text. */
  text: string
}

const textLimit = 64 * 1024
const ends = new Map<string, End>()
const chunk = Buffer.alloc(64 * 1024, 'faith')

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

function endOf(id: string): End {
  const end = ends.get(id)
  if (end === undefined) throw new Error(`there is no ${id}`)
  return end
}

function follow(id: string, socket: Socket): void {
  const end: End = { socket, received: 0, text: '' }
  ends.set(id, end)
  socket.on('data', (data: Buffer) => {
    end.received += data.length
    if (end.text.length < textLimit) end.text += data.toString('latin1')
  })
  const ending = new Ending(socket)
  socket.on('end', () => say({ id, event: ending.event }))
  socket.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    say({ id, event: code ?? message })
  })
}

/** Aborts at once: `resetAndDestroy()` would first write the pending data. */
function reset(socket: Socket): void {
  const { _handle: handle } = socket as Socket & { _handle?: { reset(closed: () => void): number } }
  handle?.reset(() => undefined)
  socket.destroy()
}

function flood(socket: Socket): void {
  while (!socket.destroyed && socket.write(chunk)) continue
  socket.once('drain', () => flood(socket))
}

function listen({ id, port, address = '0.0.0.0', greet, leave }: Order): void {
  let connections = 0
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    connections += 1
    const name = `${id}/${connections}`
    follow(name, socket)
    say({ id: name, event: 'accepted', from: socket.remoteAddress, port: socket.remotePort })
    if (greet !== undefined) socket.write(greet)
    if (leave === 'end') socket.end()
    if (leave === 'reset') socket.resetAndDestroy()
  })
  server.on('error', ({ code }: NodeJS.ErrnoException) => say({ id, event: code }))
  server.listen({ port: port ?? 0, host: address, backlog: 4096 }, () => {
    say({ id, event: 'listening' })
  })
}

const orders: Record<string, (order: Order) => void> = {
  listen,
  connect({ id, address, port }) {
    const socket = connect({ host: address ?? '', port: port ?? 0, allowHalfOpen: true })
    follow(id, socket)
    socket.on('connect', () => say({ id, event: 'connected', port: socket.localPort }))
  },
  write: ({ id, text }) => void endOf(id).socket.write(text ?? ''),
  flood: ({ id }) => flood(endOf(id).socket),
  pause: ({ id }) => void endOf(id).socket.pause(),
  resume: ({ id }) => void endOf(id).socket.resume(),
  end: ({ id }) => void endOf(id).socket.end(),
  reset: ({ id }) => reset(endOf(id).socket),
  status({ id, turn }) {
    const { socket, received, text } = endOf(id)
    say({ turn, received, sent: socket.bytesWritten - socket.writableLength, text })
  },
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as Order
  const obey = orders[order.do]
  if (obey === undefined) throw new Error(`'${order.do}' is no order`)
  obey(order)
})
