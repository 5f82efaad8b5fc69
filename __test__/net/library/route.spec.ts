import { fileURLToPath } from 'node:url'

import test from 'ava'

import { addresses, captured, createLab, waitFor } from '../../../lab/index.js'
import type { Lab, LabProcess } from '../../../lab/index.js'
import type { FaithRefusal, FaithRouteConnection, FaithSession } from '../../../index.js'
import { nft, packets } from '../../fixtures/nft.js'
import { Sockets } from '../../fixtures/sockets.js'
import type { Answer, Order, Settings } from '../../programs/route-relay.js'

const program = fileURLToPath(new URL('../../programs/route-relay.ts', import.meta.url))

type Happening = { event: string; code?: string; message?: string } & Partial<
  FaithRouteConnection & Omit<FaithSession, 'reason'> & Pick<FaithSession | FaithRefusal, 'reason'>
>

/** Runs programs/route-relay.ts in the router. */
class Relay implements AsyncDisposable {
  readonly #process: LabProcess

  private constructor(process: LabProcess) {
    this.#process = process
  }

  static async start(settings: Settings = {}): Promise<Relay> {
    const relay = new Relay(
      lab.router.node(program, [JSON.stringify({ ports: 'all', ...settings })]),
    )
    await relay.#process.line(/"event":"ready"/)
    return relay
  }

  #order(order: Order): void {
    this.#process.stdin.write(`${JSON.stringify(order)}\n`)
  }

  /** Sets the route's answer for connections to a port. */
  async routes(port: number, answer: Answer): Promise<void> {
    this.#order({ port, answer })
    await this.#process.line(new RegExp(`"event":"told","port":${port}}`))
  }

  /** Lets a waiting route answer for a port. */
  decides(port: number): void {
    this.#order({ port, decide: true })
  }

  happenings(event: string, port: number): Happening[] {
    const all = this.#process.stdout.split('\n').slice(0, -1)
    return all
      .map((line) => JSON.parse(line) as Happening)
      .filter((one) => one.event === event)
      .filter(({ destination, message }) =>
        destination ? destination.port === port : message?.includes(`]:${port}: `),
      )
  }

  /** Waits for the first event of that name about a port. */
  async happens(event: string, port: number): Promise<Happening> {
    return await waitFor(`${event} about ${port}`, () => this.happenings(event, port)[0])
  }

  get stderr(): string {
    return this.#process.stderr
  }

  /** Closes the relay, and returns the program's exit code. */
  async closes(): Promise<number | null> {
    this.#order({ close: true })
    await this.#process.line(/"event":"closed"/)
    this.#process.stdin.end()
    return (await this.#process.exited).code
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop('SIGKILL')
  }
}

let lab: Lab
let client: Sockets
let server: Sockets
let router: Sockets

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  server = Sockets.of(lab.server)
  router = Sockets.of(lab.router)
})

test.after.always(() => lab.close())

let ports = 7700

function freshPort(): number {
  ports += 1
  return ports
}

test.serial(
  'a connection goes where the route says, independent of the dialled address',
  async (t) => {
    await using relay = await Relay.start()
    const [dialled, port] = [freshPort(), freshPort()]
    const listening = await server.listen(port)
    await relay.routes(dialled, { verdict: { host: addresses.serverSecond, port } })
    const near = await client.connect(captured('192.0.2.99'), dialled)
    const far = await listening.accept()
    near.says('up')
    await far.hears('up')
    far.says('down')
    await near.hears('down')
    near.ends()
    far.ends()

    const { client: asker, destination } = await relay.happens('asked', dialled)
    t.deepEqual(asker, { address: addresses.client, port: await near.port() })
    t.deepEqual(destination, {
      address: captured('192.0.2.99').replace('192.0.2.99', 'c000:263'),
      port: dialled,
      ipv4: '192.0.2.99',
      ipv4Port: dialled,
    })
    t.like(await relay.happens('session', dialled), {
      server: { address: addresses.serverSecond, port },
      bytesUp: 2,
      bytesDown: 4,
      reason: 'closed',
    })
  },
)

test.serial('a host name stands for its first IPv4 address', async (t) => {
  await using relay = await Relay.start()
  const [dialled, port] = [freshPort(), freshPort()]
  await router.listen(port, { greet: 'here', leave: 'end' })
  await relay.routes(dialled, { verdict: { host: 'localhost', port, allowAny: true } })
  const near = await client.connect(captured(), dialled)
  await near.hears('here')
  near.ends()
  t.like(await relay.happens('session', dialled), { server: { address: '127.0.0.1', port } })
})

for (const [address, cause] of [
  ['127.0.0.1', 'loopback'],
  [addresses.routerIPv4, 'own-address'],
  ['10.0.0.7', 'special-purpose'],
] as const) {
  test.serial(`a route to ${address} is denied: ${cause}`, async (t) => {
    await using relay = await Relay.start()
    const [dialled, port] = [freshPort(), freshPort()]
    const listening = await router.listen(port)
    await relay.routes(dialled, { verdict: { host: address, port } })
    t.is(await client.dial(captured(), dialled).outcome(), 'EACCES')
    t.like(await relay.happens('refused', dialled), {
      reason: 'denied',
      cause,
      server: { address, port },
    })
    t.is(listening.accepted, 0)
  })
}

test.serial('a route that passes on the dialled address does not open the router', async (t) => {
  await using relay = await Relay.start({ accessList: [] })
  const port = freshPort()
  const listening = await router.listen(port)
  await relay.routes(port, { verdict: { host: '127.0.0.1', port } })
  t.is(await client.dial(captured('127.0.0.1'), port).outcome(), 'EACCES')
  t.like(await relay.happens('refused', port), { cause: 'loopback' })
  t.is(listening.accepted, 0)
})

test.serial('with allowAny a route can name the router itself', async (t) => {
  await using relay = await Relay.start()
  const [dialled, port] = [freshPort(), freshPort()]
  await router.listen(port, { greet: 'here', leave: 'end' })
  await relay.routes(dialled, { verdict: { host: addresses.routerIPv4, port, allowAny: true } })
  const near = await client.connect(captured(), dialled)
  await near.hears('here')
  near.ends()
  t.is((await relay.happens('session', dialled)).server?.address, addresses.routerIPv4)
})

test.serial('a proceeding connection follows its address, under the access list', async (t) => {
  await using relay = await Relay.start()
  const port = freshPort()
  await server.listen(port, { greet: 'here', leave: 'end' })
  await relay.routes(port, { verdict: { proceed: true, tag: 'tenant 7' } })
  const near = await client.connect(captured(), port)
  await near.hears('here')
  near.ends()
  const { id } = await relay.happens('asked', port)
  t.like(await relay.happens('session', port), { id, tag: 'tenant 7', reason: 'closed' })

  const denied = freshPort()
  await relay.routes(denied, { verdict: { proceed: true, tag: 'tenant 8' } })
  t.is(await client.dial(captured('192.0.2.99'), denied).outcome(), 'EACCES')
  const asked = await relay.happens('asked', denied)
  t.like(await relay.happens('refused', denied), {
    id: asked.id,
    tag: 'tenant 8',
    cause: 'special-purpose',
  })
})

test.serial('a session beyond the maxBytes of its verdict is reset on both sides', async (t) => {
  await using relay = await Relay.start()
  const port = freshPort()
  const listening = await server.listen(port)
  await relay.routes(port, { verdict: { proceed: true, maxBytes: 8 } })
  const near = await client.connect(captured(), port)
  const far = await listening.accept()
  near.says('1234')
  await far.hears('1234')
  far.says('5678')
  await near.hears('5678')
  near.says('9')
  await near.sees('ECONNRESET')
  await far.sees('ECONNRESET')
  t.like(await relay.happens('session', port), {
    reason: 'max-bytes',
    bytesUp: 5,
    bytesDown: 4,
  })
})

test.serial('a verdict can have its own idle timeout', async (t) => {
  await using relay = await Relay.start()
  const [dialled, port] = [freshPort(), freshPort()]
  await server.listen(port)
  const verdict = { host: addresses.server, port, idleTimeoutMs: 100 }
  await relay.routes(dialled, { verdict })
  const near = await client.connect(captured(), dialled)
  await near.sees('ECONNRESET')
  t.is((await relay.happens('session', dialled)).reason, 'idle-timeout')
})

test.serial(
  'a route’s signal reports that its client has gone, and the end of its time',
  async (t) => {
    await using relay = await Relay.start({ connectFirst: false, routeTimeoutMs: 2000 })
    const port = freshPort()
    await relay.routes(port, { when: 'told' })
    const near = client.dial(captured(), port)
    const { id } = await relay.happens('asked', port)
    near.resets()
    t.like(await relay.happens('aborted', port), { id, message: 'the client has gone' })
    t.like(await relay.happens('refused', port), { id, cause: 'client-gave-up' })
    relay.decides(port)

    const late = freshPort()
    await relay.routes(late, { when: 'told' })
    client.dial(captured(), late)
    t.like(await relay.happens('aborted', late), { message: 'no answer within 2000 ms' })
    t.like(await relay.happens('refused', late), { cause: 'no-verdict' })
    t.deepEqual(relay.happenings('error', port), [])
  },
)

for (const [reject, error, reason] of [
  ['refused', 'ECONNREFUSED', 'refused'],
  ['unreachable', 'EHOSTUNREACH', 'unreachable'],
  ['prohibited', 'EACCES', 'denied'],
] as const) {
  test.serial(`a client that is rejected as ${reject} gets ${error}`, async (t) => {
    await using relay = await Relay.start()
    const port = freshPort()
    const listening = await server.listen(port)
    await relay.routes(port, { verdict: { reject } })
    t.is(await client.dial(captured(), port).outcome(), error)
    t.is((await relay.happens('refused', port)).reason, reason)
    t.is(relay.happenings('asked', port).length, 1)
    t.is(listening.accepted, 0)
  })
}

test.serial('a dropped client gets no answer, and its route is asked once', async (t) => {
  await using relay = await Relay.start()
  const port = freshPort()
  await relay.routes(port, { verdict: { reject: 'drop' } })
  const table = `inet dropped${port}`
  const rule = `tcp dport ${port} tcp flags syn counter name syns accept`
  const chain = `chain output { type filter hook output priority filter\n${rule}\n}`
  await nft(lab.client, `table ${table} {\ncounter syns {}\n${chain}\n}`)
  const near = client.dial(captured(), port)
  await waitFor(
    'the client to repeat its SYN',
    async () => (await packets(lab.client, table, 'syns')) >= 2,
  )
  // Dials another port: the route is asked about it after that SYN.
  const other = freshPort()
  await relay.routes(other, { verdict: { reject: 'refused' } })
  t.is(await client.dial(captured(), other).outcome(), 'ECONNREFUSED')
  t.is(relay.happenings('asked', port).length, 1)
  t.deepEqual(near.history, [])
  near.resets()
})

test.serial('for undefined, mapping and access list decide', async (t) => {
  await using relay = await Relay.start()
  const port = freshPort()
  await server.listen(port, { greet: 'here', leave: 'end' })
  const near = await client.connect(captured(), port)
  await near.hears('here')
  near.ends()
  t.is(await client.dial(captured('192.0.2.99'), port).outcome(), 'EACCES')
  await waitFor(
    'the route to be asked about both',
    () => relay.happenings('asked', port).length === 2,
  )
})

test.serial('a client waits for its slow route, and other clients do not', async (t) => {
  await using relay = await Relay.start()
  const [slow, port] = [freshPort(), freshPort()]
  const listening = await server.listen(port)
  await relay.routes(slow, { verdict: { host: addresses.server, port }, when: 'told' })
  const near = client.dial(captured(), slow)
  await relay.happens('asked', slow)
  await client.connect(captured(), port)
  await listening.accept()
  t.deepEqual(near.history, [])
  relay.decides(slow)
  await near.sees('connected')
  await listening.accept()
  t.deepEqual(relay.happenings('error', slow), [])
})

test.serial('a client with a late route is refused, and the route is reported', async (t) => {
  await using relay = await Relay.start({ routeTimeoutMs: 1500 })
  const port = freshPort()
  const listening = await server.listen(port)
  await relay.routes(port, { when: 'told' })
  t.is(await client.dial(captured(), port).outcome(), 'ECONNREFUSED')
  const { code, message } = await relay.happens('error', port)
  t.is(code, 'ERR_FAITH_ROUTE')
  t.regex(message ?? '', /no answer within 1500 ms$/)
  t.is((await relay.happens('refused', port)).reason, 'error')
  relay.decides(port)

  await relay.routes(port, {})
  await client.connect(captured(), port)
  await listening.accept()
  t.is(listening.accepted, 1)
})

for (const fail of ['throws', 'rejects'] as const) {
  test.serial(`a client whose route ${fail} is refused, and other clients are not`, async (t) => {
    await using relay = await Relay.start()
    const [bad, good] = [freshPort(), freshPort()]
    await server.listen(good)
    await relay.routes(bad, { fail })
    const [refused, connected] = [client.dial(captured(), bad), client.dial(captured(), good)]
    t.is(await refused.outcome(), 'ECONNREFUSED')
    t.is(await connected.outcome(), 'connected')
    t.like(await relay.happens('error', bad), { code: 'ERR_FAITH_ROUTE' })
    t.is((await relay.happens('refused', bad)).reason, 'error')
  })
}

test.serial('failures without a listener are one warning, and the relay goes on', async (t) => {
  await using relay = await Relay.start({ listens: false })
  const [bad, good] = [freshPort(), freshPort()]
  await server.listen(good)
  await relay.routes(bad, { fail: 'throws' })
  t.deepEqual(await client.dialAll(captured(), [bad, bad, bad]), { ECONNREFUSED: 3 })
  t.is(await client.dial(captured(), good).outcome(), 'connected')
  const warned = (): number => relay.stderr.split('[ERR_FAITH_ROUTE] FaithWarning').length - 1
  await waitFor('the warning', () => warned() > 0)
  t.is(warned(), 1, relay.stderr)
})

test.serial(
  'clients beyond maxUndecided are answered first, and refused beyond twice that number',
  async (t) => {
    await using relay = await Relay.start({ maxUndecided: 2 })
    const port = freshPort()
    await server.listen(port)
    await relay.routes(port, { when: 'told' })
    const asked = (): number => relay.happenings('asked', port).length
    const near = [client.dial(captured(), port), client.dial(captured(), port)]
    await waitFor('the route to be asked about both', () => asked() === 2)
    near.push(client.dial(captured(), port), client.dial(captured(), port))
    await waitFor('the route to be asked about the other two', () => asked() === 4)
    client.dial(captured(), port)
    t.is((await relay.happens('refused', port)).reason, 'limit')
    relay.decides(port)
    for (const end of near) await end.sees('connected')
  },
)

test.serial(
  'a route can choose source and PROXY protocol, or leave both to the relay',
  async (t) => {
    const [ofRelay, ofRoute] = ['198.51.100.8', '198.51.100.9'] as const
    for (const address of [ofRelay, ofRoute]) {
      await lab.router.run('ip', ['addr', 'add', `${address}/24`, 'dev', 'wan0'])
    }
    await using relay = await Relay.start({ localAddresses: [ofRelay], proxyProtocol: 2 })
    const connect = async (choice: { localAddress?: string; proxyProtocol?: 1 | 2 }) => {
      const port = freshPort()
      const listening = await server.listen(port)
      await relay.routes(port, { verdict: { host: addresses.server, port, ...choice } })
      const near = await client.connect(captured(), port)
      const far = await listening.accept()
      return { far, ends: `64:ff9b::c633:6402 ${await near.port()} ${port}` }
    }

    const chosen = await connect({ localAddress: ofRoute, proxyProtocol: 1 })
    t.is(await chosen.far.address(), ofRoute)
    await chosen.far.hears(`PROXY TCP6 ${addresses.client} ${chosen.ends}\r\n`)

    const { far } = await connect({})
    t.is(await far.address(), ofRelay)
    await waitFor('a header of version 2', async () => {
      const { text } = await far.status()
      return text.startsWith('\r\n\r\n\0\r\nQUIT\n')
    })
  },
)

test.serial('a route can have a connection come from a privileged port, or not', async (t) => {
  const isPrivileged = async (choice: { privilegedLocalPort?: boolean }): Promise<boolean> => {
    const port = freshPort()
    const listening = await server.listen(port)
    await relay.routes(port, { verdict: { host: addresses.server, port, ...choice } })
    await client.connect(captured(), port)
    const from = await (await listening.accept()).port()
    return from >= 600 && from < 1024
  }
  let relay = await Relay.start()
  t.true(await isPrivileged({ privilegedLocalPort: true }))
  t.false(await isPrivileged({}))
  await relay[Symbol.asyncDispose]()
  relay = await Relay.start({ privilegedLocalPort: true })
  t.false(await isPrivileged({ privilegedLocalPort: false }))
  t.true(await isPrivileged({}))
  await relay[Symbol.asyncDispose]()
})

test.serial('without connect-first, a rejected client is reset', async (t) => {
  await using relay = await Relay.start({ connectFirst: false })
  const [dialled, rejected, port] = [freshPort(), freshPort(), freshPort()]
  await server.listen(port, { greet: 'here', leave: 'end' })
  await relay.routes(dialled, { verdict: { host: addresses.server, port } })
  await relay.routes(rejected, { verdict: { reject: 'prohibited' } })
  const near = await client.connect(captured(), dialled)
  await near.hears('here')
  near.ends()
  await client.dial(captured(), rejected).sees('ECONNRESET')
  t.is((await relay.happens('refused', rejected)).reason, 'denied')
})

test.serial('a relay closes and its process ends while connections are undecided', async (t) => {
  await using relay = await Relay.start()
  const port = freshPort()
  await relay.routes(port, { when: 'told' })
  const near = client.dial(captured(), port)
  await relay.happens('asked', port)
  t.is(await relay.closes(), 0)
  near.resets()
  t.deepEqual(relay.happenings('error', port), [])
})
