/** UDP sockets over an addon of this spec, which plays the clients. */
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import { FaithError, FaithUdpSocket } from '../index.js'
import type { FaithBindUdpOptions, FaithUdpMessage } from '../index.js'
import type { NativeInterface, NativeMessage } from '../lib/native.js'

interface Sent {
  data: string
  address: string
  port: number
  from: string
  fromPort: number
  hopLimit: number
  trafficClass: number
}

/** The addon's part of a socket. */
class Addon {
  readonly sent: Sent[] = []
  readonly waiting: NativeMessage[] = []
  taken = 0
  refusal: object | null = null
  readable: () => void = () => undefined

  async open(options: FaithBindUdpOptions = { port: 53 }): Promise<FaithUdpSocket> {
    const faith = {
      name: 'faith0',
      bindUdp: (_: unknown, readable: () => void) => {
        this.readable = readable
        return Promise.resolve(this)
      },
    }
    return await FaithUdpSocket.open(faith as unknown as NativeInterface, options, () => undefined)
  }

  take(most: number): NativeMessage[] {
    this.taken += 1
    return this.waiting.splice(0, most)
  }

  send(data: Uint8Array, envelope: Omit<Sent, 'data'>): object | null {
    if (this.refusal === null) this.sent.push({ data: Buffer.from(data).toString(), ...envelope })
    return this.refusal
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Clients say this, all of it before the event loop goes on. */
  says(...messages: (string | Partial<NativeMessage>)[]): void {
    for (const message of messages) {
      const given = typeof message === 'string' ? { data: Buffer.from(message) } : message
      this.waiting.push({
        data: Buffer.alloc(0),
        address: '2001:db8::1',
        port: 4000,
        destination: '64:ff9b::c000:201',
        destinationPort: 53,
        hopLimit: 63,
        trafficClass: 0,
        ...given,
      })
    }
    this.readable()
  }
}

/** The data of each message of an event. */
function heardBy(socket: FaithUdpSocket): string[] {
  const heard: string[] = []
  socket.on('message', (data) => heard.push(data.toString()))
  return heard
}

test('a message comes with its origin and with what was dialled', async (t) => {
  const addon = new Addon()
  const socket = await addon.open()
  const message = once(socket, 'message')
  addon.says({ data: Buffer.from('hello'), ipv4: '192.0.2.1', ipv4Port: 5353 })
  const [data, rinfo] = (await message) as [Buffer, unknown]
  t.is(data.toString(), 'hello')
  t.deepEqual(rinfo, {
    address: '2001:db8::1',
    family: 'IPv6',
    port: 4000,
    size: 5,
    destination: { address: '64:ff9b::c000:201', port: 53, ipv4: '192.0.2.1', ipv4Port: 5353 },
    hopLimit: 63,
    trafficClass: 0,
  })
})

test('datagrams that came together are messages of their own, empty ones too', async (t) => {
  const addon = new Addon()
  const heard = heardBy(await addon.open())
  addon.says({ data: Buffer.from('aabbc'), segment: 2 }, '', 'end')
  await nextTurn()
  t.deepEqual(heard, ['aa', 'bb', 'c', '', 'end'])
})

test('messages wait for a handler, and a batch of them is one turn of the event loop', async (t) => {
  const addon = new Addon()
  const socket = await addon.open()
  const all = Array.from({ length: 200 }, (_, index) => `${index}`)
  addon.says(...all)
  await nextTurn()
  t.is(addon.taken, 0)
  const heard = heardBy(socket)
  await new Promise((resolve) => process.nextTick(resolve))
  t.deepEqual(heard, all.slice(0, 64))
  while (heard.length < all.length) await nextTurn()
  t.deepEqual(heard, all)
})

test('a handler that throws loses no other message', async (t) => {
  const addon = new Addon()
  const socket = await addon.open()
  const heard: string[] = []
  socket.on('message', (data) => {
    heard.push(data.toString())
    if (heard.length === 2) throw new Error('as told')
  })
  t.throws(() => addon.says('1', '2', '3', '4'), { message: 'as told' })
  while (heard.length < 4) await nextTurn()
  t.deepEqual(heard, ['1', '2', '3', '4'])
  addon.says('5')
  t.deepEqual(heard.slice(4), ['5'])
})

test('the iteration gives each message once, and ends with the socket', async (t) => {
  const addon = new Addon()
  const socket = await addon.open()
  const heard: string[] = []
  const all = (async () => {
    for await (const { data } of socket) heard.push(data.toString())
  })()
  addon.says('1', '2')
  while (heard.length < 2) await nextTurn()
  addon.says('3')
  while (heard.length < 3) await nextTurn()
  await socket.close()
  await all
  t.deepEqual(heard, ['1', '2', '3'])
})

test('an aborted signal ends the iteration, and the socket goes on', async (t) => {
  const addon = new Addon()
  const socket = await addon.open()
  const abort = new AbortController()
  const next = socket.messages({ signal: abort.signal }).next()
  abort.abort()
  await t.throwsAsync(next, { code: 'ABORT_ERR' })
  addon.says('still here')
  const { value } = await socket[Symbol.asyncIterator]().next()
  t.is((value as FaithUdpMessage).data.toString(), 'still here')
})

test('an answer leaves from the address that its peer dialled last', async (t) => {
  const addon = new Addon()
  const socket = await addon.open({ ports: '50-60' })
  socket.on('message', (data, { port, address }) => socket.send(data, port, address))
  addon.says('1', { data: Buffer.from('2'), destination: '64:ff9b::c000:202', destinationPort: 54 })
  addon.says({ data: Buffer.from('3'), port: 4001 })
  await nextTurn()
  const sent = addon.sent.map(({ data, from, fromPort, port }) => [data, from, fromPort, port])
  t.deepEqual(sent, [
    ['1', '64:ff9b::c000:201', 53, 4000],
    ['2', '64:ff9b::c000:202', 54, 4000],
    ['3', '64:ff9b::c000:201', 53, 4001],
  ])
  socket.send('later', 4000, '2001:db8::1')
  t.like(addon.sent.at(-1), { from: '64:ff9b::c000:202', fromPort: 54 })
  const from = { address: '64:ff9b::c000:203', port: 55 }
  socket.send('elsewhere', 4000, '2001:db8::1', { from, hopLimit: 1, trafficClass: 0xb9 })
  t.like(addon.sent.at(-1), { from: from.address, fromPort: 55, hopLimit: 1, trafficClass: 0xb9 })
})

test('a datagram to a peer that has sent none needs an address to come from', async (t) => {
  const addon = new Addon()
  const socket = await addon.open()
  const error = await new Promise<Error | null>((resolve) => {
    socket.send('first', 9, '2001:db8::1', resolve)
  })
  t.like(error, { code: 'EADDRNOTAVAIL', hint: 'name it by `from`' })
  t.deepEqual(addon.sent, [])
  socket.send('first', 9, '2001:db8::1', { from: { address: '64:ff9b::1', port: 53 } })
  t.like(addon.sent, [{ from: '64:ff9b::1', fromPort: 53, hopLimit: 64, trafficClass: 0 }])
  const other = new Addon()
  const single = await other.open({ port: 53, address: '64:ff9b::9' })
  single.send('first', 9, '2001:db8::1')
  t.like(other.sent, [{ from: '64:ff9b::9', fromPort: 53 }])
})

test('send takes the data of dgram, whole or in part', async (t) => {
  const addon = new Addon()
  const socket = await addon.open({ port: 53, address: '64:ff9b::9' })
  const bytes = new TextEncoder().encode('bytes')
  const to = [9, '2001:db8::1'] as const
  socket.send('text é', ...to)
  socket.send(bytes, ...to)
  socket.send(new DataView(bytes.buffer, 1, 2), ...to)
  socket.send(['a', bytes, 'c'], ...to, undefined)
  socket.send(bytes, 1, 3, ...to)
  socket.send('offset', 0, 3, ...to)
  t.deepEqual(
    addon.sent.map(({ data }) => data),
    ['text é', 'bytes', 'yt', 'abytesc', 'yte', 'off'],
  )
})

test('the callback gets the number of bytes, and errors', async (t) => {
  const addon = new Addon()
  const socket = await addon.open({ port: 53, address: '64:ff9b::9' })
  const send = () =>
    new Promise<unknown[]>((resolve) => {
      socket.send('hello', 0, 4, 9, '2001:db8::1', (...given) => resolve(given))
    })
  t.deepEqual(await send(), [null, 4])
  addon.refusal = { failed: true, code: 'ENOBUFS', message: 'full' }
  const [error, bytes] = await send()
  t.true(error instanceof FaithError)
  t.like(error, { code: 'ENOBUFS', message: 'full' })
  t.is(bytes, 0)
})

test('errors without a callback are events, and a missing handler ends nothing', async (t) => {
  const addon = new Addon()
  const socket = await addon.open({ port: 53, address: '64:ff9b::9' })
  addon.refusal = { failed: true, code: 'ENOBUFS', message: 'full' }
  const warned = once(process, 'warning')
  socket.send('unheard', 9, '2001:db8::1')
  t.like(await warned, [{ name: 'FaithWarning', code: 'ENOBUFS' }])
  const event = new Promise((resolve) => socket.once('error', resolve))
  socket.send('heard', 9, '2001:db8::1')
  t.like(await event, { code: 'ENOBUFS' })
})

for (const [what, args] of Object.entries({
  'a number as data': [5, 9, '2001:db8::1'],
  'an array with a number': [['a', 5], 9, '2001:db8::1'],
  'no port': ['data', undefined, '2001:db8::1'],
  'port 0': ['data', 0, '2001:db8::1'],
  'a port beyond the last': ['data', 65_536, '2001:db8::1'],
  'no address': ['data', 9],
  'an IPv4 address': ['data', 9, '192.0.2.1'],
  'a scoped address': ['data', 9, 'fe80::1%eth0'],
  'a part beyond the data': ['data', 2, 3, 9, '2001:db8::1'],
  'a negative offset': ['data', -1, 2, 9, '2001:db8::1'],
  'an unknown option': ['data', 9, '2001:db8::1', { ttl: 3 }],
  'a hop limit of 0': ['data', 9, '2001:db8::1', { hopLimit: 0 }],
  'a callback that is none': ['data', 9, '2001:db8::1', {}, 'callback'],
})) {
  test(`send refuses ${what}`, async (t) => {
    const addon = new Addon()
    const socket = await addon.open({ port: 53, address: '64:ff9b::9' })
    const send = socket.send.bind(socket) as (...given: unknown[]) => void
    t.throws(() => send(...args), { instanceOf: FaithError, code: 'ERR_FAITH_ARGUMENT' })
    t.deepEqual(addon.sent, [])
  })
}

test('a closed socket sends nothing, and tells its close once', async (t) => {
  const addon = new Addon()
  const socket = await addon.open()
  await once(socket, 'listening')
  let closes = 0
  socket.on('close', () => (closes += 1))
  addon.says('waits')
  await Promise.all([socket.close(), socket.close(), socket[Symbol.asyncDispose]()])
  await nextTurn()
  t.is(closes, 1)
  t.throws(() => socket.send('late', 9, '2001:db8::1'), { code: 'ERR_FAITH_CLOSED' })
  t.deepEqual(await socket[Symbol.asyncIterator]().next(), { done: true, value: undefined })
})

test('address() is that of dgram', async (t) => {
  const address = '64:ff9b::9'
  const whole = await new Addon().open({ port: 53 })
  const one = await new Addon().open({ ports: '53', address })
  const several = await new Addon().open({ ports: [53, 54] })
  t.deepEqual(whole.address(), { address: '::', family: 'IPv6', port: 53 })
  t.deepEqual(one.address(), { address, family: 'IPv6', port: 53 })
  t.like(several.address(), { address: '::', port: 0 })
})
