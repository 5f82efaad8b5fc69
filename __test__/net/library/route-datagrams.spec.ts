/** A route decides about datagrams and pings, as clients and servers see it. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { embed } from '../../../index.js'
import { addresses, captured, faithPrefix, waitFor } from '../../../lab/index.js'
import { stage } from '../../programs/stage.js'

const { lab, router } = await stage()
const serverProgram = fileURLToPath(new URL('../../programs/udp-server.py', import.meta.url))
const clientProgram = fileURLToPath(new URL('../../programs/udp-client.py', import.meta.url))
const [one, other, slow, closed] = [7701, 7702, 7703, 7704]

const accessList = '::/0 permit 198.51.100.0/24'
const settings = { ports: 'all', protocols: ['udp', 'icmp'], accessList } as const

test.before(async () => {
  const { server, serverSecond } = addresses
  const places = [server, one, serverSecond, other, server, slow].map(String)
  await lab.server.spawn('python3', [serverProgram, ...places]).line(/^ready/)
})

interface Answer {
  from?: [address: string, port: number]
  data?: string
  error?: string
}

/** Sends datagrams from one port of the client, and gives the answers. */
function asking(...steps: { to: number; send: string; wait?: number }[]) {
  const plan = {
    steps: steps.map(({ to, send, wait = 20 }) => ({ to: [captured(), to], send, wait })),
  }
  return lab.client.run('python3', [clientProgram, JSON.stringify(plan)], { timeout: 60_000 })
}

async function answers(...steps: Parameters<typeof asking>): Promise<Answer[]> {
  const { code, stdout, stderr } = await asking(...steps)
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as Answer[]
}

test.serial('a route sends datagrams elsewhere, and the client sees what it dialled', async (t) => {
  await using faith = await router.create()
  const to = { host: addresses.serverSecond, port: other, tag: 'moved' }
  await using relay = await faith.route(settings, { verdicts: { [one]: to } })
  const [who, echo] = await answers({ to: one, send: 'who' }, { to: one, send: 'echo me' })
  t.regex(who?.data ?? '', /^198\.51\.100\.1 \d+$/)
  t.deepEqual(echo?.from?.slice(0, 2), [embed(addresses.server, faithPrefix), one])
  const [session] = await relay.sessions()
  t.like(session, {
    protocol: 'udp',
    server: { address: addresses.serverSecond, port: other },
    tag: 'moved',
    bytesUp: 'whoecho me'.length,
  })
  const detail = session && (await relay.session(session.id))
  t.like(detail, { id: session?.id, protocol: 'udp', legs: undefined, slow: 'neither' })
})

test.serial('the first datagrams wait for the verdict, in their order', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.route(settings, { verdicts: {}, waits: [slow] })
  const client = asking(
    { to: slow, send: 'echo 1', wait: 0 },
    { to: slow, send: 'echo 2', wait: 0 },
    { to: slow, send: 'echo 3' },
  )
  await waitFor('the question', async () => (await router.ask('undecided', slow)) === 1)
  await router.ask('decide', slow)
  const { stdout } = await client
  const heard = JSON.parse(stdout) as Answer[]
  t.is(heard[2]?.data, 'echo 1', 'the first answer')
  t.is((await relay.sessions()).length, 1)
})

test.serial('a rejected client learns the verdict', async (t) => {
  await using faith = await router.create()
  for (const [reject, error] of [
    ['refused', 'ECONNREFUSED'],
    ['unreachable', 'EHOSTUNREACH'],
    ['prohibited', 'EACCES'],
  ] as const) {
    await using relay = await faith.route(settings, { verdicts: { [closed]: { reject } } })
    const [answer] = await answers({ to: closed, send: 'who' })
    t.is(answer?.error, error, reject)
    await relay.close()
  }
})

test.serial('a verdict for connections refuses datagrams, and is reported', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.route(settings, { verdicts: { [one]: { socket: true } } })
  const [answer] = await answers({ to: one, send: 'who' })
  t.is(answer?.error, 'EHOSTUNREACH')
  const stats = await relay.stats()
  t.is(stats.refused.byReason.error, 1)
})

const ping = () => lab.client.run('ping', ['-6', '-n', '-c', '1', '-W', '20', captured()])

test.serial('a route decides about pings', async (t) => {
  await using faith = await router.create()
  const { serverSecond } = addresses
  const verdicts = { 0: { host: serverSecond, port: 1 } }
  const relay = await faith.route(settings, { verdicts })
  t.is((await ping()).code, 0)
  const [session] = await relay.sessions()
  t.like(session, { protocol: 'icmp', server: { address: serverSecond, port: 0 } })
  await relay.close()
  const rejecting = { verdicts: { 0: { reject: 'prohibited' } } } as const
  await using strict = await faith.route(settings, rejecting)
  const { code, stdout } = await ping()
  t.not(code, 0)
  t.regex(stdout, /prohibited/)
  t.is((await strict.stats()).refused.byCause['rejected-by-route'], 1)
})
