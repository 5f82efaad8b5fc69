/** Captured sockets end with their interface, and their programs are notified. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { closes } from '../../fixtures/splices.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const server = captured()
const verdicts = { 81: { socket: true } } as const

/** Number of resets of the client's connections (RFC 4022, tcpEstabResets). */
async function resets(): Promise<number> {
  const { stdout } = await lab.client.run('cat', ['/proc/net/snmp'])
  const [names = [], values = []] = stdout
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '))
  return Number(values[names.indexOf('EstabResets')])
}

test.serial('closing the interface destroys its sockets, and resets their clients', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  const relay = await faith.route({ port: 81 }, { verdicts })
  await relay.take()
  const callers = [await client.dial(server, 80), await client.dial(server, 81)]
  const accepted = [await listener.accept(), await relay.accept()]
  const heard = callers.map((caller) => caller.receive())
  const reading = accepted.map((socket) => socket.receive())
  await faith.close()
  for (const one of heard) await t.throwsAsync(one, { code: 'ECONNRESET' })
  for (const one of reading) await t.throwsAsync(one, { code: 'ERR_FAITH_CLOSED' })
  for (const socket of accepted) {
    await closes(socket)
    t.deepEqual(await socket.happened(), ['error ERR_FAITH_CLOSED', 'close'])
    t.like(await socket.look(), { destroyed: true, local: { address: '64:ff9b::c633:6402' } })
  }
})

test.serial('deleting the device destroys the sockets too', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  await client.dial(server, 80)
  const accepted = await listener.accept()
  const reading = accepted.receive()
  reading.catch(() => undefined)
  await lab.router.run('ip', ['link', 'del', 'faith0'])
  await t.throwsAsync(reading, { code: 'ERR_FAITH_CLOSED', message: /faith0 was deleted/ })
  await closes(accepted)
  t.deepEqual(await accepted.happened(), ['error ERR_FAITH_CLOSED', 'close'])
})

test.serial('a socket without handlers is destroyed too, and the program goes on', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  await router.ask('ignore', listener.id)
  await client.dial(server, 80)
  const one = await waitFor('the socket', async () => {
    const taken = await router.ask('ignored')
    return taken.length > 0 ? taken : undefined
  })
  t.deepEqual(one, [{ closed: false }])
  await faith.close()
  await waitFor('the socket to close', async () => (await router.ask('ignored'))[0]?.closed)
  t.deepEqual(await router.ask('ignored'), [{ closed: true, code: 'ERR_FAITH_CLOSED' }])
})

test.serial(
  'a socket that has ended its stream is destroyed, and its client keeps the end',
  async (t) => {
    await using faith = await router.create()
    const listener = await faith.listen({ port: 80 })
    const caller = await client.dial(server, 80)
    const accepted = await listener.accept()
    await accepted.write('goodbye\n')
    await accepted.end()
    t.is(await caller.line(), 'goodbye')
    t.like(await caller.receive(), { bytes: 0 })
    const before = await resets()
    await faith.close()
    await closes(accepted)
    t.deepEqual(await accepted.happened(), ['error ERR_FAITH_CLOSED', 'close'])
    t.is(await resets(), before)
  },
)

test.serial('the client of a socket with unsent bytes is reset', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  await client.dial(server, 80)
  const accepted = await listener.accept()
  t.true((await router.ask('fill', accepted.id, 'last words\n'.repeat(4096))) > 0)
  await accepted.end()
  const before = await resets()
  await faith.close()
  await closes(accepted)
  t.deepEqual(await accepted.happened(), ['error ERR_FAITH_CLOSED', 'close'])
  // Node reports a reset behind a short read as an end (libuv, uv__stream_io).
  await waitFor('the reset', async () => (await resets()) > before)
})

test.serial('sockets that closed before get no error', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  const caller = await client.dial(server, 80)
  const accepted = await listener.accept()
  await caller.end()
  await accepted.receive()
  await accepted.end()
  await closes(accepted)
  await faith.close()
  t.deepEqual(await accepted.happened(), ['close'])
})

test.serial(
  'a socket of a closed interface cannot be spliced, and the error says so',
  async (t) => {
    await using faith = await router.create()
    const listener = await faith.listen({ port: 80 })
    await client.dial(server, 80)
    const accepted = await listener.accept()
    await faith.close()
    const splicing = accepted.spliceTo({ host: addresses.server, port: 7 })
    await t.throwsAsync(splicing, { code: 'ERR_FAITH_CLOSED' })
  },
)

test.serial('sockets of another interface are left alone', async (t) => {
  await using faith = await router.create()
  await using other = await router.create({ name: 'faith1', prefixes: ['64:ff9b:1::/48'] })
  const listener = await faith.listen({ port: 80 })
  await other.listen({ port: 80 })
  const caller = await client.dial(server, 80)
  const accepted = await listener.accept()
  await other.close()
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
})

test.serial('Node’s own servers survive the loss of their connections', async (t) => {
  const [key, cert] = [join(lab.directory, 'key'), join(lab.directory, 'certificate')]
  const files = ['-keyout', key, '-out', cert, '-subj', '/CN=faith']
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  await lab.client.run('openssl', ['req', '-x509', '-nodes', ...ec, ...files])
  const identity = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  await router.ask('subscribe', 'faithd:connection')
  const taken = async (): Promise<number> => (await router.ask('published')).length
  for (const kind of ['http', 'https', 'h2c', 'h2', 'tls', 'half-open net'] as const) {
    await using faith = await router.create()
    const listener = await faith.listen({ port: 443 })
    await listener.attach(await router.makeServer(kind, identity))
    const before = await taken()
    const begun = await client.dial(server, 443)
    await waitFor('the server to have the connection', async () => (await taken()) > before)
    const asking = lab.client.spawn('openssl', [
      's_client',
      '-quiet',
      '-connect',
      `[${server}]:443`,
    ])
    if (kind === 'https') {
      asking.stdin.write('GET / HTTP/1.1\r\nHost: faith\r\n\r\n')
      await asking.line(/^HTTP\/1\.1 200/)
    }
    await faith.close()
    await t.throwsAsync(begun.receive(), { code: 'ECONNRESET' })
    await asking.stop()
    t.true(router.process.running)
  }
})
