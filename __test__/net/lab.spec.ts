import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import {
  addresses,
  churn,
  connect,
  createLab,
  halfClose,
  nodeCommand,
  program,
  reset,
  sessions,
  transfer,
  waitFor,
} from '../../lab/index.js'

const namespaces = () => spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout

/** True if a process runs. A zombie does not. */
function runs(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.trim() !== '' && !stdout.startsWith('Z')
}

test('the client reaches the router over IPv6 and has no IPv4', async (t) => {
  await using lab = await createLab()
  t.like(await connect(lab.client, { address: addresses.gateway, port: 9 }), {
    code: 'ECONNREFUSED',
  })
  t.like(await connect(lab.client, { address: addresses.server, port: 9 }), { code: 'ENETUNREACH' })
})

test('the router reaches the server at both its addresses', async (t) => {
  await using lab = await createLab()
  await lab.server.nginx()
  for (const address of [addresses.server, addresses.serverSecond]) {
    const page = await lab.router.run('curl', ['-sS', `http://${address}/whoami`])
    t.is(page.stdout, `${addresses.routerIPv4}\n`, page.stderr)
  }
})

for (const edge of [false, true]) {
  test(`a client with IPv4 is forwarded to the server${edge ? ', over two routers' : ''}`, async (t) => {
    await using lab = await createLab({ ipv4Client: true, edge })
    await lab.server.nginx()
    const page = await lab.client.run('curl', ['-sS', `http://${addresses.server}/whoami`])
    t.is(page.stdout, `${addresses.clientIPv4}\n`, page.stderr)
  })
}

test('behind a narrow link the path MTU is discovered', async (t) => {
  await using lab = await createLab({ clientMtu: 1300 })
  const peer = lab.router.node(program('peer'), ['--address', '::', '--port', '7000'])
  await peer.line(/^listening$/)
  const bytes = 4 * 2 ** 20
  const { down } = await transfer(lab.client, { address: '2001:db8:2::1', up: bytes, down: bytes })
  t.is(down.received, down.sent)
  const route = await lab.router.run('ip', ['-6', 'route', 'get', addresses.client])
  t.regex(route.stdout, /\bmtu 1300\b/)
})

test('the programs agree on a network without a relay', async (t) => {
  await using lab = await createLab()
  await lab.server.peer()
  await lab.server.echo()
  const address = addresses.server

  const moved = await transfer(lab.router, { address, up: 2 ** 26, down: 2 ** 25 })
  t.is(moved.up.bytes, 2 ** 26)
  t.is(moved.down.bytes, 2 ** 25)
  t.is(moved.up.received, moved.up.sent)
  t.is(moved.down.received, moved.down.sent)
  t.not(moved.up.sent, moved.down.sent)

  const { expected, clientFirst, serverFirst } = await halfClose(lab.router, {
    address,
    bytes: 2 ** 22,
  })
  t.deepEqual(clientFirst, expected)
  t.deepEqual(serverFirst, expected)

  t.deepEqual(await reset(lab.router, { address }), {
    seenByClient: 'ECONNRESET',
    seenByServer: 'ECONNRESET',
  })
  t.like(await sessions(lab.router, { address, count: 500 }), {
    before: 500,
    after: 500,
    errors: {},
  })
  t.like(await churn(lab.router, { address, count: 1000 }), { done: 1000, errors: {} })
})

test('sshd, nginx and iperf3 listen when their methods return', async (t) => {
  await using lab = await createLab()
  const servers = await Promise.all([
    lab.server.sshd(),
    lab.server.nginx({ port: 8080 }),
    lab.server.iperf3(),
  ])
  for (const { port } of servers) {
    t.like(await connect(lab.router, { address: addresses.server, port }), { connected: true })
  }
})

test('the error of a server that cannot start gives the reason', async (t) => {
  await using lab = await createLab()
  await lab.server.echo({ port: 80 })
  await t.throwsAsync(lab.server.peer({ port: 80 }), { message: /EADDRINUSE/ })
})

test('a program that runs too long is ended, and the error names it', async (t) => {
  await using lab = await createLab()
  await t.throwsAsync(lab.client.run('sleep', ['1000'], { timeout: 50 }), {
    message: /^client: sleep 1000: still running after 50 ms/,
  })
})

test('a closed lab leaves nothing behind', async (t) => {
  const lab = await createLab()
  const nginx = await lab.server.nginx()
  const stray = lab.client.spawn('setsid', ['--fork', 'sleep', '1000'])
  await waitFor('a process outside of its group', async () => {
    const { stdout } = await lab.client.run('ip', ['netns', 'pids', lab.client.namespace])
    return stdout !== ''
  })
  const strays = spawnSync('ip', ['netns', 'pids', lab.client.namespace], { encoding: 'utf8' })
  const pids = [nginx.process.pid, stray.pid, ...strays.stdout.trim().split('\n').map(Number)]
  t.true(pids.some(runs))

  await lab.close()

  t.deepEqual(pids.filter(runs), [])
  for (const name of lab.namespaces) t.false(namespaces().includes(name))
  t.false(existsSync(lab.directory))
})

test('labs side by side are separate', async (t) => {
  await using one = await createLab()
  await using other = await createLab()
  await one.server.echo()
  t.like(await connect(one.router, { address: addresses.server, port: 7 }), { connected: true })
  t.like(await connect(other.router, { address: addresses.server, port: 7 }), {
    code: 'ECONNREFUSED',
  })
})

interface Left {
  namespaces: string[]
  directory: string
  pids: number[]
}

/** Starts a process that makes a lab, and returns the parts of that lab. */
async function runner(ending: string) {
  const file = fileURLToPath(new URL('../fixtures/lab-runner.ts', import.meta.url))
  const [command, args] = nodeCommand(file, [ending])
  const child = spawn(command, args)
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  const ended = once(child, 'close')
  const first = once(createInterface({ input: child.stdout }), 'line')
  const line = await Promise.race([
    first.then(([text]: string[]) => text),
    ended.then(() => undefined),
  ])
  if (line === undefined) throw new Error(`the runner has no lab: ${complaint}`)
  return { child, ended, left: JSON.parse(line) as Left }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`a runner that gets ${signal} leaves nothing`, async (t) => {
    const { child, ended, left } = await runner('wait')
    child.kill(signal)
    t.deepEqual(await ended, [null, signal])
    assertGone(t, left)
  })
}

for (const [ending, how] of [
  ['exit', 'calls process.exit'],
  ['throw', 'dies of an uncaught error'],
] as const) {
  test(`a runner that ${how} leaves nothing`, async (t) => {
    const { child, ended, left } = await runner(ending)
    child.stdin.end()
    await ended
    assertGone(t, left)
  })
}

test('the next lab removes the remains of a killed runner', async (t) => {
  const { child, ended, left } = await runner('wait')
  child.kill('SIGKILL')
  await ended
  await waitFor('the kernel to end its programs', () => !left.pids.some(runs))
  await using lab = await createLab()
  assertGone(t, left)
  t.true(namespaces().includes(lab.client.namespace))
})

function assertGone(t: { deepEqual: (a: unknown, b: unknown) => unknown }, left: Left): void {
  const present = namespaces()
  t.deepEqual(
    {
      pids: left.pids.filter(runs),
      namespaces: left.namespaces.filter((name) => present.includes(name)),
      directory: existsSync(left.directory),
    },
    { pids: [], namespaces: [], directory: false },
  )
}
