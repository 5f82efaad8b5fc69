/** The choice of a worker for a connection: with the shortcut, one that is ready for it. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { captured, waitFor, type Host } from '../../lab/index.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'
import { threadNamed } from '../fixtures/threads.js'
import type { Connection } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()
const server = Sockets.of(lab.server)
const accessList = '::/0 permit 198.51.100.0/24\n'
const program = fileURLToPath(new URL('../programs/stop-thread.py', import.meta.url))
test.before(() => lab.server.echo({ port: 7 }))

/** The id of a thread of the router's program. */
const thread = (name: string): string => threadNamed(router.process.pid, name)

/** Number of SYNs that a host has retransmitted. */
async function sentAgain(host: Host): Promise<number> {
  const { stdout } = await host.run('cat', ['/proc/net/netstat'])
  const [names, values] = stdout
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '))
  return Number(values?.[names?.indexOf('TCPSynRetrans') ?? -1])
}

/** Stops a worker of faith0, like one without a processor, until it is told to continue. */
async function atRest(worker: number): Promise<{ goOn: () => Promise<void> } & AsyncDisposable> {
  const stopping = lab.router.spawn('python3', [program, thread(`faith0/${worker}`)])
  await stopping.line(/^stopped$/)
  const goOn = async () => {
    stopping.stdin.end()
    await stopping.exited
  }
  return { goOn, [Symbol.asyncDispose]: goOn }
}

/** True if the text comes back. */
async function isEchoed(caller: Connection, text: string): Promise<boolean> {
  await caller.write(`${text}\n`)
  return (await caller.line()) === text
}

test.serial('connections go to a worker that is ready for them', async (t) => {
  await using faith = await router.create({ workers: 2 })
  await using relay = await faith.relay({ ports: 'all', accessList })
  await using rest = await atRest(0)
  const { shortcut } = await faith.stats()
  const before = await sentAgain(lab.client)
  const callers = []
  for (let dialled = 0; dialled < 20; dialled += 1) {
    const caller = await client.begin(captured(), 7)
    callers.push(caller)
    // Without the shortcut, every other connection waits for the stopped worker.
    if (shortcut) await caller.connected()
  }
  // The first connection to the stopped worker reveals that it is stopped.
  if (shortcut) t.true((await sentAgain(lab.client)) - before <= 1)
  await rest.goOn()
  for (const [index, caller] of callers.entries()) {
    await caller.connected()
    t.true(await isEchoed(caller, `${index}`))
  }
  t.like(await relay.stats(), { accepted: callers.length })
})

for (const [scanned, ports] of [
  ['', 0],
  [', after a scan of closed ports too', 500],
] as const) {
  test.serial(
    `without connect-first, too, connections go to a ready worker${scanned}`,
    async (t) => {
      await using faith = await router.create({ workers: 2 })
      await using relay = await faith.relay({ ports: '7', accessList, connectFirst: false })
      const { shortcut } = await faith.stats()
      const refused = Array.from({ length: ports }, (_, index) =>
        t.throwsAsync(client.dial(captured(), 1000 + index), { code: 'ECONNREFUSED' }),
      )
      await Promise.all(refused)
      // Waits a second: a SYN not accepted by then never will be.
      const scannedAt = performance.now()
      await waitFor('a second to pass', () => ports === 0 || performance.now() - scannedAt > 1000)

      for (const worker of [0, 1]) {
        await using rest = await atRest(worker)
        const begun = performance.now()
        // The stopped worker gets one connection at first, and one more each second as a trial.
        const waiting = () => 1 + Math.floor((performance.now() - begun) / 1000)
        let answered = 0
        const answers = []
        for (let dialled = 0; dialled < 20; dialled += 1) {
          const caller = await client.begin(captured(), 7)
          const answer = caller.connected().then(() => isEchoed(caller, `${dialled}`))
          answers.push(answer)
          void answer.then(() => (answered += 1))
          if (shortcut) await waitFor('the answer', () => answered > dialled - waiting())
        }
        if (shortcut) t.true(answers.length - answered <= waiting(), `${answered} are answered`)
        await rest.goOn()
        t.deepEqual(new Set(await Promise.all(answers)), new Set([true]))
      }
      t.like(await relay.stats(), { accepted: 40 })
    },
  )
}

test.serial(
  'workers know which SYNs are held, even when another worker gets the client’s next packet',
  async (t) => {
    const port = 7900
    const count = 40
    await server.listen(port)
    await nft(
      lab.server,
      `table inet silence {
      chain input {
        type filter hook input priority filter
        tcp dport ${port} drop
      }
    }`,
    )
    await using faith = await router.create({ workers: 4 })
    await using relay = await faith.relay({ ports: 'all', accessList })
    const callers = []
    for (let dialled = 0; dialled < count; dialled += 1) {
      callers.push(await client.begin(captured(), port))
    }
    const again = async () => (await faith.stats()).drops['hold'] ?? 0
    await waitFor('all clients to repeat their SYNs', async () => (await again()) >= count)
    t.like(await faith.stats(), { synsHeld: count })

    // The clients answer with a RST when they are connected.
    for (const { id } of callers) await client.ask('drop', id)
    await nft(lab.server, 'delete table inet silence')
    const { refused } = await waitFor('all attempts to end', async () => {
      const stats = await relay.stats()
      return stats.attempts === 0 ? stats : undefined
    })
    t.is(refused.byReason['client-reset'], count)
  },
)
