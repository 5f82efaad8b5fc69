/** Tests examples/egress-gateway.mjs with sandboxes that have no other way out. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { FaithRefusal, FaithSession } from '../../index.js'
import { addresses, captured, createLab, faithPrefix, udp, waitFor } from '../../lab/index.js'
import { type Example, startExample } from '../fixtures/examples.js'
import { ip } from '../fixtures/ip.js'
import { Sockets } from '../fixtures/sockets.js'

/** Sandboxes by address, each with the server it dials. The first two share a /64. */
const sandboxes = [
  [addresses.client, addresses.server],
  ['2001:db8:1::77', '198.51.100.4'],
  ['2001:db8:9::2', addresses.serverSecond],
  ['2001:db8:a::2', '198.51.100.5'],
] as const
const [[, one], [, sibling], [, other], [, another]] = sandboxes
/** A public Internet address, which the lab's server has. */
const publicly = '93.184.215.14'

const lab = await createLab()
test.after.always(() => lab.close())

const client = Sockets.of(lab.client)
const servers = Sockets.of(lab.server)

test.before(async () => {
  await ip(lab.client, '-6 route del default')
  await ip(lab.client, `route add ${faithPrefix} via ${addresses.gateway}`)
  for (const address of [sibling, another, publicly]) {
    await ip(lab.server, `addr add ${address}/32 dev eth0`)
  }
  await ip(lab.router, `route add ${publicly} via ${addresses.server}`)
  for (const [source, ipv4] of sandboxes) {
    if (source !== addresses.client) {
      await ip(lab.client, `addr add ${source}/128 dev eth0 nodad`)
      await ip(lab.router, `route add ${source}/128 via ${addresses.client}`)
    }
    await ip(lab.client, `route add ${captured(ipv4)} via ${addresses.gateway} src ${source}`)
  }
})

const dial = (ipv4: string, port: number) => client.dial(captured(ipv4), port).outcome()
const start = (...args: string[]) => startExample(lab.router, 'egress-gateway', args)

interface Line extends Omit<FaithSession, 'reason'> {
  reason: (FaithSession | FaithRefusal)['reason']
  event: string
  rules?: string[]
  host?: string
}

const sessionTo = (gateway: Example, port: number) =>
  gateway.logs<Line>(({ event, destination }) => event === 'session' && destination.port === port)

/** Waits until a sandbox is cut off. */
const cutOff = (gateway: Example, prefix: string) =>
  gateway.logs<Line>(
    ({ event, rules }) => event === 'rules' && rules?.includes(`${prefix} deny 0.0.0.0/0`) === true,
  )

let ports = 7900

/** A connection through the gateway, with both ends at hand. */
async function connection(ipv4: string) {
  ports += 1
  const listening = await servers.listen(ports)
  const near = await client.connect(captured(ipv4), ports)
  return { port: ports, near, far: await listening.accept() }
}

/** Carries that many bytes up in one session. */
async function carry(ipv4: string, bytes: number): Promise<void> {
  const { near, far } = await connection(ipv4)
  near.says('x'.repeat(bytes))
  near.ends()
  await far.sees('end')
  far.ends()
  await near.sees('end')
}

/** Carries more bytes up than the sandbox has left. */
async function overdraw(ipv4: string, bytes: number): Promise<void> {
  const { near, far } = await connection(ipv4)
  near.says('x'.repeat(bytes))
  await Promise.all([near.sees('ECONNRESET'), far.sees('ECONNRESET')])
}

test.serial('destinations of the rules are reachable, and all others are prohibited', async (t) => {
  await using gateway = await start(`${one}/32:8001,8003-8004`, `${other}:8002`)
  const listening = [8001, 8002, 8003, 8004, 8005].map((port) => servers.listen(port))
  await Promise.all([...listening, Sockets.of(lab.router).listen(8001)])

  for (const port of [8001, 8003, 8004]) t.is(await dial(one, port), 'connected')
  t.is(await dial(other, 8002), 'connected')
  t.is(await dial(one, 8002), 'EACCES')
  t.is(await dial(one, 8005), 'EACCES')
  t.is(await dial(other, 8001), 'EACCES')
  for (const address of [sibling, publicly, addresses.routerIPv4, '127.0.0.1', '169.254.169.254']) {
    t.is(await dial(address, 8001), 'EACCES', address)
  }
  t.is((await udp(lab.client, { address: captured(one), port: 8001 })).code, 'EACCES')
  t.is(await client.dial('2001:db8:64::1', 8001).outcome(), 'ENETUNREACH', 'no other way out')
  t.like(await gateway.process.stop('SIGTERM'), { code: 0 })
})

test.serial('a rule for everything opens neither the router nor private networks', async (t) => {
  await using _ = await start('0.0.0.0/0:8006')
  await Promise.all([servers.listen(8006), Sockets.of(lab.router).listen(8006)])
  t.is(await dial(publicly, 8006), 'connected')
  for (const address of [addresses.routerIPv4, '127.0.0.1', '10.0.0.1']) {
    t.is(await dial(address, 8006), 'EACCES', address)
  }
})

test.serial('each session and each refusal is a log line, and so are the totals', async (t) => {
  await using gateway = await start(`${one}:7000-7999`)
  const { port, near, far } = await connection(one)
  near.says('hello')
  await far.hears('hello')
  far.says('good day')
  await near.hears('good day')
  near.ends()
  far.ends()
  t.like(await sessionTo(gateway, port), {
    client: { address: addresses.client, port: await near.port() },
    destination: { address: '64:ff9b::c633:6402', port },
    server: { address: one, port },
    bytesUp: 5,
    bytesDown: 8,
    reason: 'closed',
  })
  t.is(await dial(one, 25), 'EACCES')
  const refused = gateway.logs<Line>(({ event }) => event === 'refused')
  t.like(await refused, { server: { address: one, port: 25 }, reason: 'denied' })
  t.like(await gateway.process.stop('SIGINT'), { code: 0 })
  t.like(gateway.log.at(-1), {
    event: 'ended',
    accepted: 1,
    sessions: { begun: 1, bytesUp: 5, bytesDown: 8 },
  })
})

test.serial(
  'a sandbox that has used up its quota is cut off completely, and no other is',
  async (t) => {
    const rules = [one, sibling, other].map((ipv4) => `${ipv4}:7000-7999`)
    await using gateway = await start('--quota', '100000', ...rules)
    const [idle, busy, sparing] = [
      await connection(sibling),
      await connection(one),
      await connection(other),
    ]
    busy.near.says('x'.repeat(40_000))
    busy.far.says('y'.repeat(60_001))
    for (const { near, far } of [idle, busy]) {
      await Promise.all([near.sees('ECONNRESET'), far.sees('ECONNRESET')])
    }
    t.like(await sessionTo(gateway, busy.port), {
      bytesUp: 40_000,
      bytesDown: 60_001,
      reason: 'max-bytes',
    })
    await cutOff(gateway, '2001:db8:1:0::/64')
    t.is(await dial(one, busy.port), 'EACCES')
    t.is(await dial(sibling, busy.port), 'EACCES')

    t.is(await dial(other, sparing.port), 'connected')
    sparing.near.says('still here')
    await sparing.far.hears('still here')
  },
)

test.serial('the quota covers all sessions together, and counts each byte once', async (t) => {
  const rules = [one, other, another].map((ipv4) => `${ipv4}:7000-7999`)
  await using gateway = await start('--quota', '100000', ...rules)
  const { near, far } = await connection(one)
  near.says('x'.repeat(60_000))
  await waitFor('60,000 bytes', async () => (await far.status()).received === 60_000)
  // When these two are cut off, the first session has been counted both while it ran and after its end.
  await overdraw(other, 100_001)
  await cutOff(gateway, '2001:db8:9:0::/64')
  near.ends()
  await far.sees('end')
  far.ends()
  await near.sees('end')
  await overdraw(another, 100_001)
  const { rules: denied } = await cutOff(gateway, '2001:db8:a:0::/64')
  t.is(denied?.filter((rule) => rule.includes('/64 deny')).length, 2)

  await carry(one, 40_000)
  const last = await connection(one)
  last.near.says('1')
  await last.near.sees('ECONNRESET')
  await cutOff(gateway, '2001:db8:1:0::/64')
})

/** Starts the gateway with a hosts file of its own. */
async function startWithNames(names: string, ...args: string[]) {
  const hosts = join(lab.directory, 'hosts')
  writeFileSync(hosts, names)
  const script = 'mount --bind "$0" /etc/hosts && exec "$@"'
  const wrap = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, hosts]
  const gateway = await startExample(lab.router, 'egress-gateway', args, { wrap })
  const rename = (others: string) => {
    writeFileSync(hosts, others)
    gateway.process.kill('SIGHUP')
  }
  return { gateway, rename, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() }
}

test.serial('a name stands for all its addresses', async (t) => {
  const names = `${one} faith.test\n${other} faith.test\n${sibling} other.test\n`
  await using _ = await startWithNames(names, 'faith.test:8007')
  await servers.listen(8007)
  t.is(await dial(one, 8007), 'connected')
  t.is(await dial(other, 8007), 'connected')
  t.is(await dial(sibling, 8007), 'EACCES')
})

test.serial('a name follows changes of its addresses, and no session ends', async (t) => {
  await using run = await startWithNames(`${one} faith.test\n`, 'faith.test:7000-7999')
  const { port, near, far } = await connection(one)
  run.rename(`${other} faith.test\n`)
  await run.gateway.logs<Line>(({ event }) => event === 'rules')
  t.is(await dial(one, port), 'EACCES')
  t.is(await dial(other, port), 'connected')
  near.says('still here')
  await far.hears('still here')
})

test.serial('an unknown name opens nothing until it is known', async (t) => {
  await using run = await startWithNames('127.0.0.1 localhost\n', 'faith.test:8008')
  await servers.listen(8008)
  await run.gateway.logs<Line>(({ event, host }) => event === 'unknown' && host === 'faith.test')
  t.is(await dial(publicly, 8008), 'EACCES')
  run.rename(`${publicly} faith.test\n`)
  await run.gateway.logs<Line>(({ event }) => event === 'rules')
  t.is(await dial(publicly, 8008), 'connected')
})

test.serial('an ending gateway resets its sandboxes’ connections', async (t) => {
  await using gateway = await start(`${one}:7000-7999`)
  const { near, far } = await connection(one)
  await near.reaches(far)
  t.like(await gateway.process.stop('SIGTERM'), { code: 0 })
  await Promise.all([near.sees('ECONNRESET'), far.sees('ECONNRESET')])
})
