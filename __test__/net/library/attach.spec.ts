/** `listener.attach`: servers written for one address answer for a whole prefix. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { FaithEnds } from '../../../index.js'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { closes } from '../../fixtures/splices.js'
import type { Answer, Identity, Kind } from '../../programs/attach-verbs.js'
import type { Connection } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()

const identity: Identity = { key: '', cert: '' }

test.before(async () => {
  const [key, cert] = [join(lab.directory, 'key'), join(lab.directory, 'certificate')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  const files = ['-keyout', key, '-out', cert, '-subj', '/CN=faith']
  const { code, stderr } = await lab.client.run('openssl', [
    'req',
    '-x509',
    '-nodes',
    ...curve,
    ...files,
  ])
  if (code !== 0) throw new Error(stderr)
  Object.assign(identity, { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') })
})

/** Makes an interface with a listener on every port, and attaches a server of that kind. */
async function attached(kind: Kind) {
  const faith = await router.create()
  const listener = await faith.listen({ ports: 'all' })
  const server = await router.makeServer(kind, identity)
  await listener.attach(server)
  return { listener, server, [Symbol.asyncDispose]: () => faith.close() }
}

/** Fetches a URL with curl, without checking the certificate. */
async function curl(url: string, ...options: string[]): Promise<Answer> {
  const args = ['-sS', '--insecure', '--max-time', '15', ...options, url]
  const { code, stdout, stderr } = await lab.client.run('curl', args)
  if (code !== 0) throw new Error(`curl ${url}: ${code}: ${stderr}`)
  return JSON.parse(stdout) as Answer
}

const first = `[${captured()}]`
const second = `[${captured(addresses.serverSecond)}]`

const destinations = [
  { host: first, port: 80, address: '64:ff9b::c633:6402', ipv4: addresses.server },
  { host: second, port: 8443, address: '64:ff9b::c633:6403', ipv4: addresses.serverSecond },
]

const overHttp: { kind: Kind; scheme: string; options: string[]; wrapped: boolean }[] = [
  { kind: 'http', scheme: 'http', options: [], wrapped: false },
  { kind: 'https', scheme: 'https', options: [], wrapped: true },
  { kind: 'h2c', scheme: 'http', options: ['--http2-prior-knowledge'], wrapped: false },
  { kind: 'h2', scheme: 'https', options: ['--http2'], wrapped: true },
]

for (const { kind, scheme, options, wrapped } of overHttp) {
  test.serial(`an ${kind} server answers for every address and port, and knows them`, async (t) => {
    await using _ = await attached(kind)
    for (const { host, port, address, ipv4 } of destinations) {
      t.deepEqual(await curl(`${scheme}://${host}:${port}/`, ...options), {
        server: kind,
        destination: {
          address,
          port,
          ipv4,
          ipv4Port: port,
          prefix: '64:ff9b::/96',
          interface: 'faith0',
        },
        wrapped,
      })
    }
  })
}

test.serial('a TLS server answers for every address and port', async (t) => {
  await using _ = await attached('tls')
  const connect = ['s_client', '-quiet', '-connect', `${first}:993`]
  const { stdout } = await lab.client.run('openssl', connect)
  const { server, destination, wrapped } = JSON.parse(stdout) as Answer
  t.deepEqual([server, destination?.port, wrapped], ['tls', 993, true])
})

for (const kind of ['net', 'injected'] as const) {
  test.serial(`a server of the kind ${kind} answers for every address and port`, async (t) => {
    await using _ = await attached(kind)
    await using dialled = await client.dial(captured(), 25)
    const { server, destination } = JSON.parse((await dialled.line()) ?? '') as Answer
    t.deepEqual([server, destination?.port], [kind, 25])
  })
}

test.serial('sockets are half-open if the server’s own are', async (t) => {
  await using _ = await attached('half-open net')
  await using dialled = await client.dial(captured(), 80)
  await dialled.write('hello')
  await dialled.end()
  t.like(JSON.parse((await dialled.line()) ?? ''), { server: 'half-open net', heard: 'hello' })
})

test.serial('sockets end with their client if the server’s own do', async (t) => {
  await using _ = await attached('full-close net')
  await using dialled = await client.dial(captured(), 80)
  await dialled.write('hello')
  await dialled.end()
  t.like(await dialled.receive(), { bytes: 0 })
})

test.serial(
  'a detached server gets no more connections, and they wait for the next server',
  async (t) => {
    await using one = await attached('net')
    await using before = await client.dial(captured(), 80)
    t.like(JSON.parse((await before.line()) ?? ''), { server: 'net' })
    await one.listener.detach()
    await one.listener.detach()
    await using after = await client.dial(captured(), 80)
    await one.listener.attach(await router.makeServer('injected', identity))
    t.like(JSON.parse((await after.line()) ?? ''), { server: 'injected' })
  },
)

test.serial('a listener has one server at a time', async (t) => {
  await using one = await attached('net')
  const other = await router.makeServer('injected', identity)
  const error = await t.throwsAsync(one.listener.attach(other), { code: 'ERR_FAITH_ARGUMENT' })
  t.like(error, { hint: 'detach it first' })
  await using dialled = await client.dial(captured(), 80)
  t.like(
    JSON.parse((await dialled.line()) ?? ''),
    { server: 'net' },
    'the first server is still attached',
  )
})

test.serial('an object that is not a server is refused', async (t) => {
  await using one = await attached('net')
  await one.listener.detach()
  for (const wrong of [null, 7, 'http', {}]) {
    const attaching = router.ask('attachWrongly', one.listener.id, wrong)
    const error = await t.throwsAsync(attaching, { code: 'ERR_FAITH_ARGUMENT' })
    t.regex(error.message, /^listener\.attach: `server` must be a server, got /)
  }
})

test.serial('a closed listener refuses a server', async (t) => {
  await using one = await attached('net')
  await one.listener.close()
  await t.throwsAsync(one.listener.attach(one.server), { code: 'ERR_FAITH_CLOSED' })
})

test.serial('when the listener closes, the server keeps its connections and goes on', async (t) => {
  await using one = await attached('half-open net')
  await router.ask('subscribe', 'faithd:connection')
  await using dialled = await client.dial(captured(), 80)
  await waitFor(
    'the server to have the connection',
    async () => (await router.ask('published')).length > 0,
  )
  await one.server.listen(8080)
  await dialled.write('still there?')
  await one.listener.close()
  await dialled.end()
  t.like(JSON.parse((await dialled.line()) ?? ''), { heard: 'still there?' })

  await using near = await router.dial('::1', 8080)
  await near.end()
  const own = JSON.parse((await near.line()) ?? '') as Answer
  t.deepEqual(own, { server: 'half-open net', wrapped: true, heard: '' })
  await one.server.close()
})

test.serial('a closed server still gets the connections of the listener', async (t) => {
  await using one = await attached('http')
  await one.server.listen(8080)
  await one.server.close()
  t.is((await curl(`http://${first}/`)).server, 'http')
})

test.serial('an HTTP server answers many requests on one connection', async (t) => {
  await using _ = await attached('http')
  const url = `http://${first}/[1-20]`
  const args = ['-sS', '--max-time', '15', '-w', '%{num_connects}\\n', url]
  const { stdout } = await lab.client.run('curl', args)
  const connects = stdout.split('\n').filter((line) => /^\d$/.test(line))
  t.deepEqual(connects, ['1', ...Array.from({ length: 19 }, () => '0')])
})

/** The ends of a connection, which is all that a server without the socket knows. */
async function endsOf(dialled: Connection): Promise<Required<FaithEnds>> {
  const { local, remote } = await dialled.look()
  const { address: localAddress = '', port: localPort = 0 } = remote
  const { address: remoteAddress = '', port: remotePort = 0 } = local
  return { localAddress, localPort, remoteAddress, remotePort }
}

test.serial('destinations are known exactly until their connections end', async (t) => {
  await using one = await attached('half-open net')
  const ports = Array.from({ length: 50 }, (_, index) => 8000 + index)
  const dialled = await Promise.all(ports.map((port) => client.dial(captured(), port)))
  const ends = await Promise.all(dialled.map(endsOf))
  const known = (): Promise<number[]> => router.ask('destinationsOf', ends)
  await waitFor(
    'the server to have the connections',
    async () => (await known()).length === ports.length,
  )
  t.deepEqual(await known(), ports)

  const [ended = [], left = []] = [dialled.slice(0, 40), ports.slice(40)]
  for (const each of ended) await each.end()
  await waitFor('the others to be forgotten', async () => (await known()).length <= left.length)
  t.deepEqual(await known(), left)
  await one[Symbol.asyncDispose]()
  t.deepEqual(await known(), [], 'the interface’s end removes the rest')
})

test.serial('the end of a connection leaves the next one with the same ends alone', async (t) => {
  await using faith = await router.create()
  // Pauses the connection: an unread one does not notice that its client is gone.
  const listener = await faith.listen({ port: 80, pauseOnConnect: true })
  await listener.attach(await router.makeServer('half-open net', identity))
  await router.ask('take', listener.id)
  const dialled = await client.dial(captured(), 80)
  const ends = await endsOf(dialled)
  const before = await listener.accept()
  await dialled.reset()
  await closes(dialled)
  await client.dial(captured(), 80, ends.remotePort)
  const after = await listener.accept()
  t.is(after.facts.remote, before.facts.remote)

  const known = (): Promise<number[]> => router.ask('destinationsOf', [ends])
  t.like(await before.look(), { destroyed: false })
  await before.close()
  await closes(before)
  t.deepEqual(await known(), [80])
  await after.close()
  await closes(after)
  t.deepEqual(await known(), [])
})
