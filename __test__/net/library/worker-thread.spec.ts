/** A worker thread with interfaces of its own: they work there, and end with the thread. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { configuration, gone, privateNamespaces, settled } from '../../fixtures/remains.js'
import { Sockets } from '../../fixtures/sockets.js'
import { traffic } from '../../fixtures/traffic.js'
import { Program } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, client } = await stage()
const clients = Sockets.of(lab.client)
test.before(() => Promise.all([settled(lab.router), lab.server.echo()]))

/** The greeting of the main thread's own interface. */
async function greetedByMain(): Promise<string | undefined> {
  return await (await client.dial('64:ff9b:2::1', 80)).line()
}

test.serial('a route is asked in its own thread, and events arrive there', async (t) => {
  await using program = await Program.startInThread(lab.router)
  const faith = await program.create()
  const verdicts = {
    90: { host: addresses.server, port: 7, allowAny: true },
    91: { reject: 'prohibited' },
    92: { socket: true },
  } as const
  const relay = await faith.route({ ports: '90-92' }, { verdicts })
  await relay.take()

  const routed = await client.dial(captured(), 90)
  await routed.write('hello\n')
  t.is(await routed.line(), 'hello')
  await routed.end()
  await t.throwsAsync(client.dial(captured(), 91), { code: 'EACCES' })
  const dialled = await client.dial(captured(), 92)
  const accepted = await relay.accept()
  await dialled.write('there?\n')
  t.is(await accepted.line(), 'there?')

  const { session, refused } = await waitFor('both to be reported', async () => {
    const told = await relay.told()
    return told.session.length > 0 && told.refused.length > 0 ? told : undefined
  })
  t.like(session, [{ reason: 'closed', destination: { port: 90 } }])
  t.like(refused, [{ reason: 'denied', destination: { port: 91 } }])
  await faith.close()
  t.deepEqual(await faith.happened(), ['close'])
})

test.serial(
  'a terminated thread ends all its connections, and the main thread goes on',
  async (t) => {
    const program = await Program.startInThread(lab.router)
    const own = privateNamespaces(program.process.pid)
    const before = await configuration(lab.router)
    const { busy, quiet, held, waiting } = await traffic(program, clients)
    const networks = privateNamespaces(program.process.pid).filter((each) => !own.includes(each))
    t.is(networks.length, 2)

    program.process.stdin.write('terminate\n')
    await program.process.line(/^terminated$/)
    await t.notThrowsAsync(gone(lab.router, before, networks))
    // Node has closed JavaScript's sockets, like sockets that have ended.
    for (const end of [...quiet, ...busy, ...waiting]) await end.sees('(?:end|ECONNRESET|EPIPE)')
    // Retransmitted SYNs find no listener, or no route.
    for (const end of held) t.regex(await end.outcome(), /^(?:ECONNREFUSED|ENETUNREACH)$/)
    t.is(await greetedByMain(), 'main0')
    program.process.stdin.end()
    t.deepEqual(await program.ended(), { code: 0, signal: null })
    t.is(program.process.stderr, '')
  },
)
