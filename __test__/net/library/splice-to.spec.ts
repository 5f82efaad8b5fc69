/** The kernel carries a captured socket that was given back, to a server or to another socket. */
import test from 'ava'
import { addresses } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { closes, connection, silence, spliced } from '../../fixtures/splices.js'
import type { AcceptedConnection } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const servers = Sockets.of(lab.server)
const echo = { host: addresses.server, port: 7 }
const peer = { host: addresses.server, port: 7000 }
test.before(() => Promise.all([lab.server.echo(echo), lab.server.peer(peer)]))

test.serial(
  'bytes that were read and put back go first, and a gibibyte after them arrives complete',
  async (t) => {
    await using faith = await router.create()
    const { caller, accepted } = await connection(faith, client)
    const bytes = 2 ** 30
    const request = `{"do":"transfer","up":${bytes},"down":${bytes}}\n`
    await caller.write(request)
    t.is(await accepted.peek(), request)
    const ended = accepted.spliceTo(peer)
    const [up, down] = await Promise.all([caller.send('up', bytes), caller.receive(bytes)])
    const report = (await caller.line()) ?? ''
    t.deepEqual(JSON.parse(report), { received: { bytes, sha256: up }, sent: down.sha256 })
    await caller.end()
    const { durationMs, ...others } = await ended
    t.deepEqual(others, {
      bytesUp: request.length + bytes,
      bytesDown: bytes + report.length + 1,
      reason: 'closed',
    })
    t.true(durationMs > 0)
  },
)

test.serial('the end of either side is passed on, and the other direction goes on', async (t) => {
  await using faith = await router.create()
  for (const first of ['client', 'server']) {
    const { caller, server, ended } = await spliced(faith, client, servers)
    if (first === 'client') {
      await caller.end()
      await server.sees('end')
      server.says('still here\n')
      t.is(await caller.line(), 'still here')
      server.ends()
      t.like(await caller.receive(), { bytes: 0 })
      t.like(await ended, { bytesUp: 0, bytesDown: 11, reason: 'closed' })
    } else {
      server.ends()
      t.like(await caller.receive(), { bytes: 0 })
      await caller.write('still here\n')
      await server.hears('still here\n')
      await caller.end()
      await server.sees('end')
      t.like(await ended, { bytesUp: 11, bytesDown: 0, reason: 'closed' })
    }
  }
})

test.serial('an end that JavaScript has already read is passed on too', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  await caller.end()
  t.like(await accepted.receive(), { bytes: 0 })
  const listening = await servers.listen(port)
  const ended = accepted.spliceTo({ host, port })
  const server = await listening.accept()
  await server.sees('end')
  server.says('answer\n')
  server.ends()
  t.is(await caller.line(), 'answer')
  t.like(await ended, { bytesUp: 0, bytesDown: 7, reason: 'closed' })
})

test.serial('a reset by the client resets the server', async (t) => {
  await using faith = await router.create()
  const { caller, server, ended } = await spliced(faith, client, servers)
  await caller.reset()
  await server.sees('ECONNRESET')
  t.like(await ended, { reason: 'client-reset' })
})

test.serial('a reset by the server resets the client', async (t) => {
  await using faith = await router.create()
  const { caller, server, ended } = await spliced(faith, client, servers)
  const reading = caller.receive()
  server.resets()
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
  t.like(await ended, { reason: 'server-reset' })
})

test.serial('earlier writes precede the server’s bytes', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const listening = await servers.listen(port, { greet: 'from the server\n', leave: 'end' })
  const line = `${'from JavaScript,'.repeat(4096)}\n`
  const waiting = await router.ask('fill', accepted.id, line)
  t.true(waiting > 0, 'bytes are unsent, because the client does not read')
  const ended = accepted.spliceTo({ host, port })
  await listening.accept()
  t.false((await accepted.look()).destroyed, 'the bytes are still unsent')
  const others: string[] = []
  for (let next = await caller.line(); next !== undefined; next = await caller.line()) {
    if (`${next}\n` !== line) others.push(next.slice(-40))
  }
  t.deepEqual(others, ['from the server'])
  await caller.end()
  t.like(await ended, { reason: 'closed', bytesDown: 16 })
})

test.serial('a socket whose server refuses works as before', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  await caller.write('first\n')
  t.is(await accepted.peek(), 'first\n')
  const error = await t.throwsAsync(accepted.spliceTo({ host, port }), {
    name: 'FaithError',
    code: 'ECONNREFUSED',
  })
  t.like(error, { syscall: 'connect', errno: -111 })
  t.like(await accepted.look(), { destroyed: false })
  await caller.write('second\n')
  t.is(await accepted.line(), 'first')
  t.is(await accepted.line(), 'second')
  await accepted.write('sorry\n')
  t.is(await caller.line(), 'sorry')
  t.deepEqual(await accepted.happened(), [])
})

test.serial('a socket whose server refused can be spliced to another server', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  await caller.write('are you there?\n')
  await accepted.peek()
  await t.throwsAsync(accepted.spliceTo({ host, port }), { code: 'ECONNREFUSED' })
  const ended = accepted.spliceTo(echo)
  t.is(await caller.line(), 'are you there?')
  await caller.end()
  t.like(await ended, { bytesUp: 15, bytesDown: 15, reason: 'closed' })
})

test.serial('connectTimeoutMs limits the wait for a server that does not answer', async (t) => {
  await using faith = await router.create()
  const { accepted, host, port } = await connection(faith, client)
  await silence(lab.server, port)
  const connecting = accepted.spliceTo({ host, port, connectTimeoutMs: 100 })
  await t.throwsAsync(connecting, { code: 'ETIMEDOUT' })
  t.like(await accepted.look(), { destroyed: false })
})

test.serial('idleTimeoutMs ends an idle splice', async (t) => {
  await using faith = await router.create()
  const { caller, accepted } = await connection(faith, client)
  const reading = caller.receive()
  t.like(await accepted.spliceTo({ ...echo, idleTimeoutMs: 50 }), { reason: 'idle-timeout' })
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
})

test.serial('with proxyProtocol the server gets the client’s address first', async (t) => {
  await using faith = await router.create()
  const { caller, accepted } = await connection(faith, client)
  const { local, remote } = await caller.look()
  await caller.write('hello\n')
  await accepted.peek()
  const ended = accepted.spliceTo({ ...echo, proxyProtocol: 1 })
  const ends = [local.address, remote.address, local.port, remote.port].join(' ')
  t.is(await caller.line(), `PROXY TCP6 ${ends}\r`)
  t.is(await caller.line(), 'hello')
  await caller.end()
  t.like(await ended, { bytesUp: 6, reason: 'closed' })
})

test.serial(
  'JavaScript loses the socket at once, and gets its close at the end of the splice',
  async (t) => {
    await using faith = await router.create()
    const { caller, accepted, server, ended } = await spliced(faith, client, servers)
    const before = await accepted.look()
    t.true(before.destroyed)
    await t.throwsAsync(accepted.spliceTo(echo), { code: 'ERR_FAITH_SOCKET' })
    await caller.write('past JavaScript\n')
    await server.hears('past JavaScript\n')
    t.deepEqual(await accepted.happened(), [])
    await caller.end()
    server.ends()
    await ended
    await closes(accepted)
    t.deepEqual(await accepted.happened(), ['close'])
    t.deepEqual(await accepted.look(), before)
    t.is(before.local.address, accepted.facts.destination.address)
  },
)

test.serial('a socket can be spliced into a connected socket', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const listening = await servers.listen(port, { greet: 'welcome\n' })
  const upstream = await router.dial(host, port)
  const server = await listening.accept()
  t.is(await router.ask('peek', upstream.id), 'welcome\n')
  await upstream.write('from JavaScript\n')
  await caller.write('from the client\n')
  t.is(await accepted.peek(), 'from the client\n')
  const ended = accepted.spliceTo(upstream)
  await server.hears('from JavaScript\nfrom the client\n')
  t.is(await caller.line(), 'welcome')
  await caller.end()
  server.ends()
  t.like(await ended, { bytesUp: 16, bytesDown: 8, reason: 'closed' })
  await Promise.all([closes(accepted), closes(upstream)])
  t.deepEqual(await upstream.happened(), ['close'])
})

test.serial('a captured socket can be spliced into another captured one', async (t) => {
  await using faith = await router.create()
  const [one, other] = [await connection(faith, client), await connection(faith, client)]
  const ended = one.accepted.spliceTo(other.accepted)
  await one.caller.write('to the other\n')
  t.is(await other.caller.line(), 'to the other')
  await other.caller.write('and back\n')
  t.is(await one.caller.line(), 'and back')
  await one.caller.end()
  await other.caller.end()
  t.like(await ended, { bytesUp: 13, bytesDown: 9, reason: 'closed' })
})

test.serial('sockets that cannot be spliced are refused, and left alone', async (t) => {
  await using faith = await router.create()
  const refuses = async (prepare: (socket: AcceptedConnection) => Promise<unknown>) => {
    const { accepted } = await connection(faith, client)
    await prepare(accepted)
    const before = await accepted.look()
    const error = await t.throwsAsync(accepted.spliceTo(echo), { code: 'ERR_FAITH_SOCKET' })
    t.deepEqual(await accepted.look(), before)
    return error.message
  }
  t.regex(await refuses((socket) => socket.end()), /has ended writing/)
  t.regex(await refuses((socket) => socket.reset()), /is closed/)
  t.regex(await refuses((socket) => router.ask('setEncoding', socket.id)), /encoding/)
  const { caller, accepted } = await connection(faith, client)
  await t.throwsAsync(accepted.spliceTo(accepted), { code: 'ERR_FAITH_ARGUMENT' })
  await t.throwsAsync(accepted.spliceTo(await router.begin(addresses.server, 1)), {
    code: 'ERR_FAITH_SOCKET',
  })
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
})

test.serial('malformed targets are refused, and leave the socket alone', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const targets: object[] = [
    {},
    { host },
    { host, port: 0 },
    { host: '2001:db8:::1', port },
    { host, port, localAddress: '::1' },
    { host, port, proxyProtocol: 3 },
    { host, port, idleTimeoutMs: -1 },
    { host, port, tls: true },
  ]
  for (const target of targets) {
    const splicing = accepted.spliceTo(target as typeof echo)
    await t.throwsAsync(splicing, { name: 'FaithError', code: 'ERR_FAITH_ARGUMENT' })
  }
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
})
