/** Which worker gets a connection: with the shortcut one that is ready for it, whatever else its client sends. */
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { captured, waitFor, type Host } from '../../lab/index.js'
import { nft } from './fixtures/nft.js'
import { Sockets } from './fixtures/sockets.js'
import { stage } from './programs/stage.js'

const { lab, router, client } = await stage()
const server = Sockets.of(lab.server)
const accessList = '::/0 permit 198.51.100.0/24\n'
const stopping = fileURLToPath(new URL('programs/stop-thread.py', import.meta.url))

/** The id of a thread of the router's program. */
function thread(name: string): string {
  const threads = `/proc/${router.process.pid}/task`
  const found = readdirSync(threads).find((id) => {
    return readFileSync(`${threads}/${id}/comm`, 'utf8').trim() === name
  })
  if (found === undefined) throw new Error(`no thread ${name}`)
  return found
}

/** How many SYNs a host has sent again. */
async function sentAgain(host: Host): Promise<number> {
  const { stdout } = await host.run('cat', ['/proc/net/netstat'])
  const [names, values] = stdout
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '))
  return Number(values?.[names?.indexOf('TCPSynRetrans') ?? -1])
}

test.serial('connections come to a worker that is ready for them', async (t) => {
  const echo = await lab.server.echo({ port: 7 })
  await using faith = await router.create({ workers: 2 })
  await using relay = await faith.relay({ ports: 'all', accessList })
  const before = await sentAgain(lab.client)
  const stopped = lab.router.spawn('python3', [stopping, thread('faith0/0')])
  await stopped.line(/^stopped$/)

  const callers = []
  for (let dialled = 0; dialled < 20; dialled += 1) callers.push(await client.dial(captured(), 7))
  // The first that comes to the one that stands still tells that it does.
  if ((await faith.stats()).shortcut) t.true((await sentAgain(lab.client)) - before <= 1)

  stopped.stdin.end()
  await stopped.exited
  for (const [index, caller] of callers.entries()) {
    await caller.write(`number ${index}\n`)
    t.is(await caller.line(), `number ${index}`)
  }
  await relay.close()
  await echo.stop()
})

test.serial('whichever worker hears more of a client, it knows whose SYN is held', async (t) => {
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
  await waitFor('all to ask again', async () => (await again()) >= count)
  t.like(await faith.stats(), { synsHeld: count })

  // They answer with a RST when they are told that they are connected.
  for (const { id } of callers) await client.ask('drop', id)
  await nft(lab.server, 'delete table inet silence')
  const ended = await waitFor('all to have ended', async () => {
    const stats = await relay.stats()
    return stats.active === 0 ? stats.ended : undefined
  })
  t.is(ended['client-reset'], count)
})
