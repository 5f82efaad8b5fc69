/** The target of spliceTo: naming its server, PROXY protocol, source address, and errors. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured } from '../../../lab/index.js'
import { proxyHeader } from '../../fixtures/proxy-header.js'
import { Sockets } from '../../fixtures/sockets.js'
import { connection, spliced } from '../../fixtures/splices.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const servers = Sockets.of(lab.server)
const own = { address: '198.51.100.77', foreign: '203.0.113.9' }
const away = { unreachable: '192.0.2.1', prohibited: '192.0.2.2', noRoute: '192.0.2.3' }

test.before(async () => {
  for (const command of [
    `addr add ${own.address}/24 dev wan0`,
    `route add unreachable ${away.unreachable}`,
    `route add prohibit ${away.prohibited}`,
  ]) {
    const { code, stderr } = await lab.router.run('ip', command.split(' '))
    if (code !== 0) throw new Error(stderr)
  }
})

test.serial('a server can have a name that this host resolves', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, port } = await connection(faith, client)
  const listening = await Sockets.of(lab.router).listen(port)
  const ended = accepted.spliceTo({ host: 'localhost', port })
  const server = await listening.accept()
  await caller.write('hello\n')
  await server.hears('hello\n')
  await caller.end()
  server.ends()
  t.like(await ended, { bytesUp: 6, reason: 'closed' })
})

for (const [address, rule] of [
  [addresses.server, 'special-purpose'],
  [addresses.routerIPv4, 'own-address'],
  ['127.0.0.1', 'loopback'],
] as const) {
  test.serial(`${address} is denied as ${rule} unless any is allowed`, async (t) => {
    await using faith = await router.create()
    const { caller, accepted, port } = await connection(faith, client)
    const at = address === addresses.server ? servers : Sockets.of(lab.router)
    const listening = await at.listen(port)
    const denied = { host: address, port, allowAny: false }
    const error = await t.throwsAsync(accepted.spliceTo(denied), { code: 'ERR_FAITH_DENIED' })
    t.regex(error?.message ?? '', new RegExp(`^cannot connect to ${address}:${port}: .*${rule}`))
    t.regex(error?.message ?? '', /`allowAny: true` permits it/)
    t.is(listening.accepted, 0)

    const ended = accepted.spliceTo({ ...denied, allowAny: true })
    const server = await listening.accept()
    await caller.write('hello\n')
    await server.hears('hello\n')
    await caller.end()
    server.ends()
    t.like(await ended, { bytesUp: 6, reason: 'closed' })
  })
}

/** Answers with its own name, and the length and hash of the received body. */
const serve = `
  const [name, port] = process.argv.slice(1)
  require('node:http').createServer(async (request, response) => {
    const hash = require('node:crypto').createHash('sha256')
    let bytes = 0
    for await (const chunk of request) bytes += hash.update(chunk) && chunk.length
    response.end([name, request.url, bytes, hash.digest('hex')].join(' '))
  }).listen(port, () => console.log('listening'))`

test.serial('an HTTP request can select the server, and arrives there complete', async (t) => {
  const [file, bytes] = [join(lab.directory, 'upload'), Buffer.alloc(2 ** 20, 'faith')]
  writeFileSync(file, bytes)
  const named = { 'blue.example': 8081, 'green.example': 8082 }
  const targets: Record<string, { host: string; port: number }> = {}
  for (const [name, port] of Object.entries(named)) {
    const server = lab.server.spawn(process.execPath, ['-e', serve, name, String(port)])
    await server.line(/^listening$/)
    targets[name] = { host: addresses.server, port }
  }
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  const splicing = router.ask('spliceByHost', listener.id, targets)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  for (const name of Object.keys(named)) {
    const upload = ['--data-binary', `@${file}`, '-H', `Host: ${name}`]
    const url = `http://[${captured()}]/some/where`
    const { stdout } = await lab.client.run('curl', ['-sS', ...upload, url])
    t.is(stdout, `${name} /some/where ${bytes.length} ${sha256}`)
  }
  await listener.close()
  await splicing
})

test.serial('the server sees the requested source address', async (t) => {
  await using faith = await router.create()
  const { accepted, host, port } = await connection(faith, client)
  const listening = await servers.listen(port)
  const ended = accepted.spliceTo({ host, port, localAddress: own.address })
  const server = await listening.accept()
  t.is(await server.address(), own.address)
  server.resets()
  t.like(await ended, { reason: 'server-reset' })
})

test.serial('the PROXY header of version 2 is correct byte for byte', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const { local } = await caller.look()
  const listening = await servers.listen(port)
  const ended = accepted.spliceTo({ host, port, proxyProtocol: 2 })
  const server = await listening.accept()
  await caller.write('hello\n')
  await server.hears(`${proxyHeader(local.port, port)}hello\n`)
  await caller.end()
  server.ends()
  t.like(await ended, { bytesUp: 6, reason: 'closed' })
})

const failing: [what: string, server: { host: string; localAddress?: string }, code: string][] = [
  ['an unknown name', { host: 'unknown..invalid' }, 'ENOTFOUND'],
  [
    'a source of some other host',
    { host: addresses.server, localAddress: own.foreign },
    'EADDRNOTAVAIL',
  ],
  ['a server that cannot be reached', { host: away.unreachable }, 'EHOSTUNREACH'],
  ['a server in a network without a route', { host: away.noRoute }, 'ENETUNREACH'],
  ['a server that the routing table forbids', { host: away.prohibited }, 'EACCES'],
]

for (const [what, server, code] of failing) {
  test.serial(`${what} fails with ${code}, and the socket goes on as before`, async (t) => {
    await using faith = await router.create()
    const { caller, accepted, port } = await connection(faith, client)
    await t.throwsAsync(accepted.spliceTo({ ...server, port }), { name: 'FaithError', code })
    await caller.write('still here\n')
    t.is(await accepted.line(), 'still here')
    await accepted.write('here too\n')
    t.is(await caller.line(), 'here too')
    t.deepEqual(await accepted.happened(), [])
  })
}

for (const kind of ['tls', 'unix'] as const) {
  test.serial(`a socket of the kind ${kind} is refused as a target, and left alone`, async (t) => {
    await using faith = await router.create()
    const { caller, accepted } = await connection(faith, client)
    const other = await router.dialItself(kind)
    await t.throwsAsync(accepted.spliceTo(other), {
      code: 'ERR_FAITH_SOCKET',
      message: /not plain TCP/,
    })
    await other.write('there?\n')
    t.is(await other.line(), 'there?')
    await caller.write('still here\n')
    t.is(await accepted.line(), 'still here')
    t.deepEqual([await other.happened(), await accepted.happened()], [[], []])
  })
}

test.serial('durationMs is the duration of the splice in milliseconds', async (t) => {
  await using faith = await router.create()
  const before = performance.now()
  const { caller, server, ended } = await spliced(faith, client, servers)
  const began = performance.now()
  let heard = ''
  for (let round = 0; round < 20; round += 1) {
    await caller.write(`${round}\n`)
    heard += `${round}\n`
    await server.hears(heard)
  }
  const least = performance.now() - began
  await caller.end()
  server.ends()
  const { durationMs } = await ended
  const most = performance.now() - before
  t.true(least <= durationMs && durationMs <= most, `${least} to ${most}, got ${durationMs}`)
})

// This test comes last: afterwards the client has no link.
test.serial(
  'without an answer for keepAliveTimeoutMs the client is gone, and the server is reset',
  async (t) => {
    await using faith = await router.create()
    const { accepted, host, port } = await connection(faith, client)
    const listening = await servers.listen(port)
    const ended = accepted.spliceTo({ host, port, keepAliveTimeoutMs: 2000 })
    const server = await listening.accept()
    const { code, stderr } = await lab.client.run('ip', ['link', 'set', 'eth0', 'down'])
    t.is(code, 0, stderr)
    t.like(await ended, { reason: 'client-gone' })
    await server.sees('ECONNRESET')
  },
)
