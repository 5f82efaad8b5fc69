/** A faith interface: its parts, its traces on the host, and the connections that it captures. */
import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'
import { addresses, captured, waitFor, type Host } from '../../../lab/index.js'
import { descriptorsOf } from '../../fixtures/descriptors.js'
import { Program } from '../../programs/program.js'
import { settled } from '../../fixtures/remains.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
test.before(() => settled(lab.router))

const server = captured()

async function output(host: Host, command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await host.run(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}

const ip = (...args: string[]) => output(lab.router, 'ip', '-6', ...args)

/** The routes to the interface, one per line. */
async function routed(): Promise<string[]> {
  const routes = await ip('route', 'show', 'dev', 'faith0')
  return routes.split('\n').filter(Boolean).toSorted()
}

interface Link {
  ifname: string
  mtu: number
  flags: string[]
}

async function links(): Promise<Link[]> {
  return JSON.parse(await output(lab.router, 'ip', '-j', 'link', 'show')) as Link[]
}

const link = async (name: string) => (await links()).find(({ ifname }) => ifname === name)

/** The host's whole network configuration that decides where packets go, one entry per line. */
async function configuration(): Promise<string[]> {
  const settings = 'cd /proc/sys/net && grep -rs . core ipv4 ipv6 | sort'
  const parts = await Promise.all([
    output(lab.router, 'ip', '-o', 'link', 'show'),
    output(lab.router, 'ip', '-o', 'addr', 'show'),
    ip('route', 'show', 'table', 'all'),
    ip('rule', 'show'),
    output(lab.router, 'ip', '-4', 'route', 'show', 'table', 'all'),
    output(lab.router, 'ip', '-4', 'rule', 'show'),
    output(lab.router, 'sh', '-c', settings),
  ])
  return parts.flatMap((part) => part.split('\n'))
}

test.serial('connections to addresses without a host are captured', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'here')
  t.deepEqual(await client.greeting(server, 80), {
    from: 'here',
    dialled: '[64:ff9b::c633:6402]:80',
    ipv4: addresses.server,
  })
  const { captured: taken, returned } = await faith.stats()
  t.true(taken.packets >= 4, 'a SYN, an ACK or two, a FIN')
  t.true(returned.packets >= 3, 'a SYN-ACK, the greeting, a FIN')
})

test.serial('connections from the router itself are captured too', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'here')
  t.like(await router.greeting(server, 80), { from: 'here', ipv4: addresses.server })
})

test.serial('workers are scheduled as SCHED_BATCH, and other threads are unchanged', async (t) => {
  await using faith = await router.create({ workers: 2 })
  const SCHED_BATCH = 3
  const threads = `/proc/${router.process.pid}/task`
  const workers = []
  for (const thread of readdirSync(threads)) {
    // The second field of stat is the name in parentheses, the 41st is the policy (proc_pid_stat(5)).
    const [, name, rest] =
      /\((.*)\) (.*)/s.exec(readFileSync(`${threads}/${thread}/stat`, 'utf8')) ?? []
    if (Number(rest?.split(' ')[38]) === SCHED_BATCH) workers.push(name)
  }
  t.deepEqual(workers.toSorted(), ['faith0/0', 'faith0/1'])
  await faith.close()
})

test.serial('a connection to a port without a listener is refused', async (t) => {
  await using faith = await router.create()
  await t.throwsAsync(client.dial(server, 80), { code: 'ECONNREFUSED' })
  t.is((await faith.stats()).returned.packets, 1)
})

for (const name of ['faith0', 'f', 'faith-of-15-byt', 'trt.64_0', 'wörter', '64@home!']) {
  test.serial(`an interface can have the name ${name}`, async (t) => {
    await using faith = await router.create({ name })
    await faith.listen({ port: 80 }, name)
    t.truthy(await link(name))
    t.like(await client.greeting(server, 80), { from: name })
    await faith.close()
    t.is(await link(name), undefined)
  })
}

test.serial(
  'the default name is faith0, and the default prefix is the well-known one',
  async (t) => {
    await using faith = await router.create()
    t.truthy(await link('faith0'))
    t.deepEqual(await faith.prefixes(), ['64:ff9b::/96'])
  },
)

test.serial('the default MTU is 65535', async (t) => {
  await using faith = await router.create()
  t.like(await link('faith0'), { mtu: 65_535 })
  t.truthy(faith)
})

test.serial('segments fit the given MTU, from the first', async (t) => {
  await using faith = await router.create({ mtu: 1280 })
  t.like(await link('faith0'), { mtu: 1280 })
  await using listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(server, 80)
  await using accepted = await listener.accept()
  const { local } = await dialled.look()
  const facts = await output(lab.client, 'ss', '-tinH', `sport = :${local.port}`)
  const mss = Number(/\bmss:(\d+)/.exec(facts)?.[1])
  t.true(mss > 1000 && mss <= 1280 - 40 - 20, facts)

  const bytes = 2 ** 20
  const [sent, arrived] = await Promise.all([dialled.send('up', bytes), accepted.receive(bytes)])
  t.deepEqual(arrived, { bytes, sha256: sent })
})

for (const shortcut of [true, false]) {
  const devices = shortcut ? 'the device, its shortcut' : 'without shortcut, the device'
  test.serial(`${devices} and the routes are all that the host sees`, async (t) => {
    const before = await configuration()
    const prefixes = ['64:ff9b::/96', '64:ff9b:1::/48']
    await using faith = await router.create({ prefixes, shortcut })
    await faith.listen({ ports: 'all' }, 'here')
    await client.greeting(server, 80)

    const during = await configuration()
    const lines = { before: new Set(before), during: new Set(during) }
    const added = during.filter((line) => !lines.before.has(line))
    const ours = (await faith.stats()).shortcut ? /\b(?:faith0|shortcut\d+)\b/ : /\bfaith0\b/
    t.deepEqual(
      added.filter((line) => !ours.test(line)),
      [],
      'everything new belongs to the device',
    )
    t.deepEqual(
      before.filter((line) => !lines.during.has(line)),
      [],
      'nothing is changed',
    )
    const routes = await ip('route', 'show')
    const toIt = routes.match(/^\S+(?= dev faith0\b)/gm)
    t.deepEqual(toIt?.toSorted(), ['64:ff9b:1::/48', '64:ff9b::/96'])
    t.notRegex(await ip('route', 'show', 'table', 'all'), /\bshortcut/)
    const shown = await output(lab.router, 'ip', '-o', 'addr', 'show')
    const onOurs = shown.match(/(?<=\b(?:faith|shortcut)\d+ +)inet.*?\/\d+/g)
    t.deepEqual(onOurs, ['inet6 fe80::fa17/128'])

    await faith.close()
    t.deepEqual(await configuration(), before)
  })
}

test.serial('with `routes: false` nothing arrives until an administrator routes it', async (t) => {
  await using faith = await router.create({ routes: false })
  await faith.listen({ port: 80 }, 'here')
  t.is(await ip('route', 'show', 'dev', 'faith0'), '')
  await t.throwsAsync(client.dial(server, 80), { code: 'ENETUNREACH' })

  await ip('route', 'add', '64:ff9b::/96', 'dev', 'faith0')
  t.like(await client.greeting(server, 80), { from: 'here' })
})

test.serial('an administrator can route a part of the prefix', async (t) => {
  await using faith = await router.create({ routes: false })
  await faith.listen({ port: 80 }, 'here')
  await ip('route', 'add', server, 'dev', 'faith0')
  t.like(await client.greeting(server, 80), { from: 'here' })
  await t.throwsAsync(client.dial(captured(addresses.serverSecond), 80), { code: 'ENETUNREACH' })
})

test.serial('routes return when the interface comes up again', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'here')
  await faith.addPrefix('64:ff9b:1::/48')
  await faith.addPrefix('64:ff9b:2::/48')
  await faith.deletePrefix('64:ff9b:1::/48')
  const before = await routed()
  t.is(before.length, 2)
  for (let time = 0; time < 3; time++) {
    await ip('link', 'set', 'faith0', 'down')
    t.deepEqual(await routed(), [])
    await ip('link', 'set', 'faith0', 'up')
    await waitFor('the routes', async () => (await routed()).length === before.length)
    t.deepEqual(await routed(), before)
    t.like(await client.greeting(server, 80), { from: 'here' })
  }
})

test.serial(
  'an interface whose routes were removed by an administrator still closes',
  async (t) => {
    await using faith = await router.create({ prefixes: ['64:ff9b::/96', '64:ff9b:1::/48'] })
    await ip('route', 'del', '64:ff9b::/96', 'dev', 'faith0')
    await faith.deletePrefix('64:ff9b::/96')
    await ip('route', 'del', '64:ff9b:1::/48', 'dev', 'faith0')
    await faith.close()
    t.is(await link('faith0'), undefined)
  },
)

test.serial('interfaces of one process each capture their own prefix', async (t) => {
  await using one = await router.create({ name: 'faith1', prefixes: ['64:ff9b::/96'] })
  await using two = await router.create({ name: 'faith2', prefixes: ['64:ff9b:1::/48'] })
  await one.listen({ ports: 'all' }, 'one')
  await two.listen({ port: 80 }, 'two')
  t.like(await client.greeting(server, 80), { from: 'one' })
  t.like(await client.greeting('64:ff9b:1:c000:2:2100::', 80), { from: 'two' })
  t.is((await two.stats()).captured.packets > 0, true)

  await one.close()
  await t.throwsAsync(client.dial(server, 80), { code: 'ENETUNREACH' })
  t.like(await client.greeting('64:ff9b:1:c000:2:2100::', 80), { from: 'two' })
})

test.serial('interfaces of two processes are separate, even on the same ports', async (t) => {
  await using other = await Program.start(lab.router)
  await other.keepfaith(true)
  await using one = await router.create({ name: 'faith1', prefixes: ['64:ff9b::/96'] })
  await using two = await other.create({ name: 'faith2', prefixes: ['64:ff9b:1::/48'] })
  await one.listen({ ports: 'all' }, 'one')
  await two.listen({ ports: 'all' }, 'two')
  t.like(await client.greeting(server, 80), { from: 'one' })
  t.like(await client.greeting('64:ff9b:1:c000:2:2100::', 80), { from: 'two' })

  other.process.kill('SIGKILL')
  await other.ended()
  await waitFor('the device of the killed process to go', async () => !(await link('faith2')))
  t.like(await client.greeting(server, 80), { from: 'one' })
})

test.serial('a deleted interface reports its loss, and closes itself', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 }, 'here')
  await ip('link', 'del', 'faith0')
  await waitFor('the interface to close', async () => (await faith.happened()).includes('close'))
  t.deepEqual(await faith.happened(), ['error ERR_FAITH_CLOSED', 'close'])
  t.deepEqual(await listener.happened(), ['close'])
  await t.throwsAsync(faith.listen({ port: 81 }), { code: 'ERR_FAITH_CLOSED' })

  await using next = await router.create()
  await next.listen({ port: 80 }, 'next')
  t.like(await client.greeting(server, 80), { from: 'next' })
})

test.serial('counters can be read after the interface is closed', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'here')
  await client.greeting(server, 80)
  await faith.close()
  t.true((await faith.stats()).captured.packets >= 3)
  t.deepEqual(await faith.happened(), ['close'])
})

test.serial('closing ends the connections that no handler has taken', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 })
  const before = descriptorsOf(router.process.pid)
  await using waiting = await client.dial(server, 80)
  // Waits for the accept: before it the kernel ends the connection.
  await waitFor('the connection to be accepted', () => descriptorsOf(router.process.pid) > before)
  await faith.close()
  t.like(await waiting.receive(), { bytes: 0 })
})

test.serial('an interface has the given number of workers', async (t) => {
  for (const workers of [1, 3]) {
    await using faith = await router.create({ workers })
    await faith.listen({ ports: 'all' }, 'here')
    t.is((await faith.stats()).workers, workers)
    const ports = Array.from({ length: 32 }, (_, index) => 100 + index)
    const answers = await client.greetings(server, ports)
    t.true(answers.every((answer) => typeof answer === 'object'))
  }
})
