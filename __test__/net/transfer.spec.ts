import test from 'ava'

import { addresses, churn, createLab, sessions, transfer, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { startBoth, startFaithd, steerings } from '../fixtures/faithd.js'
import type { Faithd, Steering } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

const MiB = 2 ** 20
const echoPort = 7

let lab: Lab
let faithds: Record<Steering, Faithd>

test.before(async () => {
  lab = await createLab()
  await Promise.all([lab.server.peer(), lab.server.echo({ port: echoPort })])
  await nft(
    lab.server,
    `table ip echo {
      chain prerouting {
        type nat hook prerouting priority dstnat
        tcp dport 10000-10999 redirect to :${echoPort}
      }
    }`,
  )
  faithds = await startBoth(lab)
})

test.after.always(() => lab.close())

/** Waits until faithd has no connection to the server left. */
async function isOver(): Promise<void> {
  await waitFor('the connections to the server to be over', async () => {
    const { stdout } = await lab.router.run('ss', ['-Htan', 'exclude', 'time-wait'])
    return stdout === ''
  })
}

/** Number of short sessions, enough that even a small leak shows. */
const short = 20_000

for (const [steering, too] of steerings) {
  const size = steering === 'by itself' ? 1024 * MiB : 256 * MiB

  test.serial(
    `${size / MiB} MiB each way at the same time arrive byte for byte${too}`,
    async (t) => {
      const faithd = faithds[steering]
      const { up, down } = await transfer(lab.client, {
        address: faithd.address(),
        up: size,
        down: size,
      })
      t.like(up, { bytes: size, received: up.sent })
      t.like(down, { bytes: size, received: down.sent })
      t.not(up.sent, down.sent)
      const { bytesUp, bytesDown, reason } = await faithd.sessionTo(7000)
      t.true(bytesUp > size && bytesDown > size)
      t.is(reason, 'closed')
    },
  )

  test.serial(`2,000 sessions at once keep their bytes apart${too}`, async (t) => {
    const faithd = faithds[steering]
    const address = faithd.address(addresses.serverSecond)
    const result = await sessions(lab.client, { address, port: echoPort, count: 2000 })
    t.like(result, { before: 2000, after: 2000, errors: {} })

    const ended = () =>
      faithd.sessions.filter(({ server }) => server?.address === addresses.serverSecond)
    const others = () => JSON.stringify(faithd.log.filter(({ session }) => session === undefined))
    const missing = () => `2,000 records; there are ${ended().length}, and ${others()}`
    const records = await waitFor(missing, () => {
      const all = ended()
      return all.length === 2000 ? all : undefined
    })
    t.deepEqual(
      records.filter(({ bytesUp, bytesDown, reason }) => {
        return reason !== 'closed' || bytesUp !== bytesDown
      }),
      [],
    )
    const starts = records.map(({ startedAt }) => Date.parse(startedAt))
    const finishes = records.map(({ durationMs }, index) => (starts[index] ?? 0) + durationMs)
    t.true(Math.max(...starts) < Math.min(...finishes), 'all of them were open at one moment')
  })

  test.serial(`20,000 short sessions leak neither descriptors nor memory${too}`, async (t) => {
    const faithd = faithds[steering]
    const target = { address: faithd.address(), port: echoPort }
    const records = (count: number) =>
      waitFor('a record of every one', () => faithd.sessions.length >= count)
    const first = short + faithd.sessions.length
    // The first sessions make everything that is made once and kept, such as the heap.
    t.like(await churn(lab.client, { ...target, count: short }), { done: short })
    await isOver()
    await records(first)
    const before = { descriptors: faithd.descriptors, memory: faithd.memory }
    const told = faithd.sessions.length

    t.like(await churn(lab.client, { ...target, count: short }), { done: short, errors: {} })

    await isOver()
    await waitFor('the descriptors to be closed', () => faithd.descriptors <= before.descriptors)
    const grown = faithd.memory - before.memory
    t.true(grown < 16 * MiB, `memory has grown by ${(grown / MiB).toFixed(1)} MiB`)
    await records(told + short)
    t.is(faithd.sessions.length, told + short)
  })

  test.serial(`a thousand ports are relayed${too}`, async (t) => {
    const faithd = faithds[steering]
    const client = Sockets.of(lab.client)
    const ports = Array.from({ length: 1000 }, (_, index) => 10_000 + index)
    t.deepEqual(await client.dialAll(faithd.address(), ports), { connected: 1000 })
    await client.stop()
  })
}

test.serial(
  'behind a narrow link the path MTU is discovered, and no packet is fragmented',
  async (t) => {
    await using narrow = await createLab({ clientMtu: 1300 })
    await narrow.server.peer()
    const faithd = await startFaithd(narrow)
    const edge = narrow.edge
    if (edge === undefined) throw new Error('the lab has no edge router')
    const [stack] = faithd.privateNamespaces
    const inStack = (...command: string[]) =>
      narrow.router.run('nsenter', [`--net=${stack}`, ...command])
    const pathToClient = async () =>
      (await inStack('ip', '-6', 'route', 'get', addresses.client)).stdout
    t.notRegex(await pathToClient(), /\bmtu 1300\b/)
    t.is(await counter(edge, 'Icmp6OutPktTooBigs'), 0)

    const size = 64 * MiB
    const { up, down } = await transfer(narrow.client, {
      address: faithd.address(),
      up: size,
      down: size,
    })

    t.like(up, { bytes: size, received: up.sent })
    t.like(down, { bytes: size, received: down.sent })
    t.true((await counter(edge, 'Icmp6OutPktTooBigs')) > 0, 'the edge sent Packet Too Big')
    t.regex(await pathToClient(), /\bmtu 1300\b/, 'the stack has learnt the path MTU')
    t.is(await counter(narrow.client, 'Ip6ReasmReqds'), 0, 'no fragment arrived')
  },
)

/** One counter of the host's /proc/net/snmp6. */
async function counter(host: Host, name: string): Promise<number> {
  const { stdout } = await host.run('cat', ['/proc/net/snmp6'])
  return Number(new RegExp(`^${name}\\s+(\\d+)$`, 'm').exec(stdout)?.[1])
}
