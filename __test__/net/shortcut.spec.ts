/**
 * The shortcut: packets of established connections stay in the kernel. Both ends and the host's administrator see no
 * difference, except in the interface's own counters.
 */
import test from 'ava'
import { addresses, captured, waitFor, type Host } from '../../lab/index.js'
import { nft, packets } from '../fixtures/nft.js'
import { probeFrom } from '../fixtures/probe.js'
import { Program, type Faith } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()
const MiB = 2 ** 20

/** True if the kernel lets this process have a shortcut; otherwise the tests only see that there is none. */
let possible: boolean

test.before(async () => {
  await using faith = await router.create({ name: 'asked', routes: false })
  possible = (await faith.stats()).shortcut
})

/** Packets and bytes that a device of the host was given to send. */
async function sentBy(host: Host, device: string): Promise<{ bytes: number; packets: number }> {
  const { stdout } = await host.run('ip', ['-j', '-s', 'link', 'show', 'dev', device])
  const [link] = JSON.parse(stdout) as { stats64: { tx: { bytes: number; packets: number } } }[]
  return link?.stats64.tx ?? { bytes: Number.NaN, packets: Number.NaN }
}

/** Names of the pairs' ends on the router. */
async function pairs(): Promise<string[]> {
  const { stdout } = await lab.router.run('ip', ['-o', 'link', 'show', 'type', 'veth'])
  return [...stdout.matchAll(/\b(shortcut\d+)@/g)].map(([, name]) => name ?? '')
}

/** A connection, and a function that exchanges bytes over it. */
async function connection(faith: Faith, port: number) {
  const listener = await faith.listen({ port })
  const dialled = await client.dial(server, port)
  const accepted = await listener.accept()
  return {
    accepted,
    dialled,
    /** Sends bytes both ways at once; true if they arrived unchanged. */
    async exchange(bytes: number): Promise<boolean> {
      const [up, upArrived, down, downArrived] = await Promise.all([
        dialled.send('up', bytes),
        accepted.receive(bytes),
        accepted.send('down', bytes),
        dialled.receive(bytes),
      ])
      return up === upArrived.sha256 && down === downArrived.sha256
    },
  }
}

test.serial('the shortcut exists if the kernel permits it, and can be switched off', async (t) => {
  await using faith = await router.create({ shortcut: false })
  t.false((await faith.stats()).shortcut)
  t.deepEqual(await pairs(), [])
  await using second = await router.create({ name: 'second', prefixes: ['64:ff9b:1::/48'] })
  t.is((await second.stats()).shortcut, possible)
  t.is((await pairs()).length, possible ? 1 : 0)
})

for (const shortcut of [true, false]) {
  const withOrWithout = shortcut ? 'with it' : 'without it'

  test.serial(
    `${withOrWithout}, all captured packets are counted, and ${shortcut ? 'few' : 'all'} of them by the device`,
    async (t) => {
      await using faith = await router.create({ shortcut })
      const { exchange } = await connection(faith, 80)
      t.true(await exchange(8 * MiB))
      const { captured: taken, returned } = await faith.stats()
      t.true(taken.bytes > 8 * MiB && taken.bytes < 10 * MiB, `${taken.bytes}`)
      t.true(returned.bytes > 8 * MiB && returned.bytes < 10 * MiB, `${returned.bytes}`)
      const { bytes: seen } = await sentBy(lab.router, 'faith0')
      if (shortcut && possible) t.true(seen < 64 * 1024, `${seen}`)
      else t.true(seen >= taken.bytes, `${seen}, ${taken.bytes}`)
    },
  )

  test.serial(
    `${withOrWithout}, the host’s firewall sees packets to and from the interface`,
    async (t) => {
      await using faith = await router.create({ shortcut })
      await nft(
        lab.router,
        `table inet seen {
          counter in { }
          counter out { }
          counter elsewhere { }
          chain forward {
            type filter hook forward priority filter
            iifname faith0 counter name in
            oifname faith0 counter name out
            iifname shortcut* counter name elsewhere
            oifname shortcut* counter name elsewhere
          }
          chain strict {
            type filter hook prerouting priority filter
            fib saddr . iif oif missing drop
          }
        }`,
      )
      try {
        const { exchange } = await connection(faith, 81)
        t.true(await exchange(MiB), 'packets pass strict reverse-path filtering')
        const count = (name: string) => packets(lab.router, 'inet seen', name)
        // A last acknowledgement may be on its way.
        await waitFor('the firewall and the interface to count the same', async () => {
          const { captured: taken, returned } = await faith.stats()
          return (await count('out')) === taken.packets && (await count('in')) === returned.packets
        })
        t.is(await count('elsewhere'), 0)
      } finally {
        await nft(lab.router, 'delete table inet seen')
      }
    },
  )

  test.serial(`${withOrWithout}, a firewall rule applies to existing connections`, async (t) => {
    await using faith = await router.create({ shortcut })
    const { dialled, accepted } = await connection(faith, 82)
    await dialled.write('one\n')
    t.is(await accepted.line(), 'one')
    await nft(
      lab.router,
      `table inet closed {
        counter dropped { }
        chain forward {
          type filter hook forward priority filter
          oifname faith0 counter name dropped drop
        }
      }`,
    )
    try {
      await dialled.write('two\n')
      await waitFor('the packet to be dropped, and again', async () => {
        return (await packets(lab.router, 'inet closed', 'dropped')) >= 2
      })
      t.like(await accepted.look(), { bytesRead: 4 })
    } finally {
      await nft(lab.router, 'delete table inet closed')
    }
    t.is(await accepted.line(), 'two')
  })

  test.serial(
    `${withOrWithout}, connections stall while their prefix is removed, and go on afterwards`,
    async (t) => {
      await using faith = await router.create({ shortcut, prefixes: ['64:ff9b:1::/48'] })
      await faith.addPrefix('64:ff9b::/96')
      const { dialled, accepted } = await connection(faith, 83)
      await dialled.write('one\n')
      t.is(await accepted.line(), 'one')

      await faith.deletePrefix('64:ff9b::/96')
      await lab.router.run('ip', ['-6', 'route', 'add', '64:ff9b::/96', 'dev', 'faith0'])
      const martians = async () => (await faith.stats()).drops['martian'] ?? 0
      const before = await martians()
      await dialled.write('two\n')
      await waitFor('the packet, and again', async () => (await martians()) >= before + 2)
      t.like(await accepted.look(), { bytesRead: 4 })

      await lab.router.run('ip', ['-6', 'route', 'del', '64:ff9b::/96', 'dev', 'faith0'])
      await faith.addPrefix('64:ff9b::/96')
      t.is(await accepted.line(), 'two')
    },
  )
}

for (const [what, how] of [
  ['deleted', ['link', 'del']],
  ['down', ['link', 'set', 'down', 'dev']],
] as const) {
  test.serial(`connections go on through the pump when the pair is ${what}`, async (t) => {
    await using faith = await router.create()
    const { exchange, dialled, accepted } = await connection(faith, 84)
    t.true(await exchange(MiB))
    for (const name of await pairs()) await lab.router.run('ip', [...how, name])
    await dialled.write('one\n')
    t.is(await accepted.line(), 'one')
    await accepted.write('two\n')
    t.is(await dialled.line(), 'two')
    await waitFor('the shortcut to be disabled', async () => !(await faith.stats()).shortcut)
    t.deepEqual(await pairs(), [])

    const { bytes: before } = await sentBy(lab.router, 'faith0')
    const taken = (await faith.stats()).captured.bytes
    const { exchange: again } = await connection(faith, 85)
    t.true(await again(MiB))
    t.true((await sentBy(lab.router, 'faith0')).bytes >= before + MiB)
    t.true((await faith.stats()).captured.bytes >= taken + MiB, 'the counter continues')
  })
}

/** Sends many such segments to a port of a captured address. */
const probe = (kind: string, address = server) =>
  probeFrom(lab.client, kind, { source: addresses.client, address, port: 86, count: many })

const many = 50

for (const shortcut of [true, false]) {
  const withOrWithout = shortcut ? 'with it' : 'without it'

  test.serial(`${withOrWithout}, the stack resets segments of unknown connections`, async (t) => {
    await using faith = await router.create({ shortcut })
    for (const kind of ['acks', 'optional-acks']) {
      const before = await faith.stats()
      await probe(kind)
      await waitFor('the resets', async () => {
        return (await faith.stats()).returned.packets === before.returned.packets + many
      })
      t.is((await faith.stats()).captured.packets, before.captured.packets + many)
    }
    // The pump must follow headers between the IPv6 and TCP headers.
    const { bytes: seen } = await sentBy(lab.router, 'faith0')
    const length = { plain: 60, optional: 68 }
    const least = many * (length.optional + (shortcut && possible ? 0 : length.plain))
    t.true(seen >= least && seen < least + many * length.plain, `${seen}, ${least}`)
  })

  test.serial(`${withOrWithout}, segments with a wrong length field are malformed`, async (t) => {
    await using faith = await router.create({ shortcut })
    const malformed = async () => (await faith.stats()).drops['malformed'] ?? 0
    await probe('short-acks')
    await waitFor('the short segments to be counted', async () => (await malformed()) === many)
    await probe('long-acks')
    await waitFor('the long segments to be counted', async () => (await malformed()) === 2 * many)
    t.like(await faith.stats(), { captured: { packets: 0 }, returned: { packets: 0 } })
  })

  test.serial(`${withOrWithout}, segments from inside a prefix are martian`, async (t) => {
    await using faith = await router.create({ shortcut, prefixes: ['2001:db8::/32'] })
    const martian = async () => (await faith.stats()).drops['martian'] ?? 0
    await probe('acks', '2001:db8:c000:221::')
    await waitFor('all segments to be counted', async () => (await martian()) >= many)
    t.like(await faith.stats(), { captured: { packets: 0 }, returned: { packets: 0 } })
  })
}

test.serial('SYNs take the shortcut too, unless a relay holds them', async (t) => {
  const clients = 20
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'web')
  /** Packets that the device, and so the pump, got while the clients came and went. */
  const pumped = async () => {
    const before = await sentBy(lab.router, 'faith0')
    for (let count = 0; count < clients; count += 1) await client.greeting(server, 80)
    const after = await sentBy(lab.router, 'faith0')
    return after.packets - before.packets
  }
  // Allows for multicast that the host itself sends meanwhile.
  const few = clients / 2
  const alone = await pumped()
  t.is(alone < few, possible, `${alone}`)
  const relay = await faith.relay({ ports: [81] })
  const beside = await pumped()
  t.true(beside >= clients, `${beside}`)
  await relay.close()
  const again = await pumped()
  t.is(again < few, possible, `${again}`)
})

test.serial('a killed process leaves no pair behind', async (t) => {
  await using doomed = await Program.start(lab.router)
  await doomed.keepfaith(true)
  const faith = await doomed.create({ name: 'doomed' })
  await faith.listen({ port: 87 }, 'here')
  t.like(await client.greeting(server, 87), { from: 'here' })
  t.is((await pairs()).length, possible ? 1 : 0)
  await doomed.process.stop('SIGKILL')
  await waitFor('the pair to go', async () => (await pairs()).length === 0)
})
