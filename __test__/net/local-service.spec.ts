/** Local services: programs, or the host's own listeners, serve connections to the router's own addresses. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab, userArguments, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Faithd, permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import { type End, Sockets } from '../fixtures/sockets.js'

let lab: Lab
let client: Sockets
let router: Sockets

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  router = Sockets.of(lab.router)
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

const program = fileURLToPath(new URL('../programs/local-service.py', import.meta.url))
const own = addresses.routerIPv4
let places = 0

/** Gives the test an interface and a prefix of its own. */
function freshPlace() {
  places += 1
  return { name: `local${places}`, prefix: `3fff:10${places}::` }
}

async function start(...args: string[]): Promise<Faithd> {
  return await startFaithd(lab, [...permitted, ...args], 'by itself', freshPlace())
}

/** Starts a faithd by a file with these local services, each the lines of its table. */
async function startBy(...services: string[][]): Promise<{ faithd: Faithd; path: string }> {
  const place = freshPlace()
  const path = join(lab.directory, `${place.name}.toml`)
  writeFileSync(path, fileOf(place, services))
  return { faithd: new Faithd(await lab.router.faithd(['-c', path]), place), path }
}

function fileOf(place: { name: string; prefix: string }, services: readonly string[][]): string {
  const lines = [
    'keepfaith = true',
    '[log]',
    'format = "json"',
    ...services.flatMap((service) => ['[[local]]', ...service]),
    '[[interface]]',
    `name = "${place.name}"`,
    `prefixes = ["${place.prefix}/96"]`,
    '[[interface.relay]]',
    'rules = ["permit 198.51.100.0/24"]',
    'drain = 0.2',
    'keep-alive = 2',
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function told(faithd: Faithd, pattern: RegExp): string[] {
  return faithd.log.map(({ msg }) => msg).filter((message) => pattern.test(message))
}

/** With --user faithd starts no programs. */
const testOfRoot = userArguments.length === 0 ? test : (): void => {}

testOfRoot(
  'faithd SERVICE SERVERPATH SERVERARGS runs the server for its own address',
  async (t) => {
    const faithd = await start('7', '/bin/cat', 'cat', '-u')
    const served = await client.connect(faithd.address(own), 7)
    served.says('to the router')
    await served.hears('to the router')
    await waitFor('the line of the program', () => told(faithd, /^local service: .*cat, pid/)[0])
    served.ends()
    await served.sees('end')
    await waitFor(
      'the program to end',
      () => told(faithd, /^local service ended: .* exit code 0$/)[0],
    )

    const relayed = await client.connect(faithd.address(), 7)
    relayed.says('to the server')
    await relayed.hears('to the server')
    relayed.ends()
    t.is((await faithd.sessionTo(7)).server?.address, addresses.server)
    const { relay } = await faithd.counted()
    t.is(relay.handedOver, 1)
    t.is(faithd.sessions.length, 1, 'a local service is no session')
  },
)

testOfRoot('the program gets the connection as inetd gives it', async (t) => {
  const { faithd } = await startBy([
    'port = 13',
    `command = ["/usr/bin/python3", "${program}", "one", "two words"]`,
    'argv0 = "daytime"',
    'user = "daemon"',
    'group = "nogroup"',
  ])
  const dialled = await client.connect(faithd.address(own), 13)
  await dialled.sees('end')
  const { text } = await dialled.status()
  const port = await dialled.port()
  const groups = await lab.router.run('getent', ['group', 'nogroup'])
  const gid = Number(groups.stdout.split(':')[2])
  const { stdout } = await lab.router.run('python3', [program])
  const plain = JSON.parse(stdout) as { descriptors: number[] }
  t.deepEqual(JSON.parse(text), {
    name: 'daytime',
    arguments: ['one', 'two words'],
    environment: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      REMOTE_ADDR: addresses.client,
      REMOTE_PORT: String(port),
    },
    sockets: 1,
    // The same as those of a program that the lab runs, and so none of faithd's own.
    descriptors: plain.descriptors,
    blocks: true,
    ids: [1, 1, gid, gid],
    leads: true,
    folder: '/',
  })
})

testOfRoot("sshd -i and inetd's telnetd serve clients", async (t) => {
  const keys = join(lab.directory, 'local-ssh')
  mkdirSync(keys)
  const key = join(keys, 'key')
  await lab.router.run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  const settings = join(keys, 'sshd_config')
  writeFileSync(settings, `HostKey ${key}\nUsePAM no\n`)
  await lab.router.run('mkdir', ['-p', '/run/sshd'])
  const { faithd } = await startBy(
    ['port = 22', `command = ["/usr/sbin/sshd", "-i", "-f", "${settings}"]`],
    ['port = 23', 'command = ["/usr/sbin/telnetd", "-E", "/bin/cat"]', 'argv0 = "telnetd"'],
  )
  const scanned = await lab.client.run('ssh-keyscan', ['-t', 'ed25519', faithd.address(own)])
  const { stdout: made } = await lab.router.run('cat', [`${key}.pub`])
  t.is(scanned.stdout.trim().split(' ')[2], made.split(' ')[1])

  const telnet = lab.client.spawn('inetutils-telnet', [faithd.address(own)])
  await telnet.line(/^Escape character/)
  telnet.stdin.write('through a terminal\n')
  await telnet.line(/through a terminal/)
  await telnet.stop()
})

testOfRoot('beyond its limits a client of a local service is reset', async (t) => {
  const { faithd } = await startBy(
    ['port = 7', 'command = ["/bin/cat"]', 'max-processes = 1'],
    ['port = 8', 'command = ["/bin/cat"]', 'max-processes-per-client = 1'],
    ['port = 9', 'command = ["/bin/cat"]', 'max-rate-per-client = 1'],
  )
  let programs = 0
  const ends = async (end: End): Promise<void> => {
    end.ends()
    await end.sees('end')
    programs += 1
  }
  for (const [port, limit] of [
    [7, 'max-processes'],
    [8, 'max-processes-per-client'],
    [9, 'max-rate-per-client'],
  ] as const) {
    const first = await client.connect(faithd.address(own), port)
    first.says('first')
    await first.hears('first')
    await waitFor('a client beyond it to be reset', async () => {
      const second = client.dial(faithd.address(own), port)
      second.says('second')
      const became = await waitFor('a reset or an echo', async () => {
        if (second.history.includes('ECONNRESET')) return 'reset'
        return (await second.status()).text === 'second' ? 'served' : undefined
      })
      // A rate permits another one when a second has passed.
      if (became === 'served') await ends(second)
      return became === 'reset'
    })
    await waitFor('the line about it', () => told(faithd, new RegExp(`: ${limit} is reached$`))[0])
    await ends(first)
  }
  await waitFor('all to end', () => told(faithd, /^local service ended/).length === programs)
  const again = await client.connect(faithd.address(own), 7)
  again.says('again')
  await again.hears('again')
  t.is(told(faithd, /is reached$/).length, 3)
})

testOfRoot(
  'a program that cannot be started resets its client, and the log says why',
  async (t) => {
    const { faithd } = await startBy(['port = 7', 'command = ["/no/such/program"]'])
    const dialled = client.dial(faithd.address(own), 7)
    await dialled.sees('ECONNRESET')
    await waitFor(
      'the error',
      () => told(faithd, /^local service failed: .*\/no\/such\/program: no such/)[0],
    )
    t.is(faithd.sessions.length, 0)
  },
)

testOfRoot(
  'at the end programs have the drain, and then a second, to end themselves',
  async (t) => {
    const says = 'lambda *_: (print("bye"), sys.exit(0))'
    const waits = 'print("up", flush=True); signal.pause()'
    const script = `import signal, sys; signal.signal(signal.SIGTERM, ${says}); ${waits}`
    const { faithd } = await startBy(
      ['port = 7', `command = ["/usr/bin/python3", "-c", '${script}']`],
      [
        'port = 8',
        `command = ["/bin/sh", "-c", 'trap "" TERM; echo up; while :; do sleep 0.05; done']`,
      ],
    )
    const polite = await client.connect(faithd.address(own), 7)
    const stubborn = await client.connect(faithd.address(own), 8)
    await polite.hears('up\n')
    await stubborn.hears('up\n')
    t.deepEqual(await faithd.stop(), { code: 0, signal: null })
    await polite.hears('up\nbye\n')
    await polite.sees('end')
    t.is(told(faithd, /^local service ended: .*: exit code 0$/).length, 1)
    t.is(told(faithd, /^local service ended: .*: SIGKILL$/).length, 1)
  },
)

/** Tells if a process runs. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

testOfRoot('programs notice that faithd was killed', async (t) => {
  const { faithd } = await startBy(
    ['port = 7', 'command = ["/bin/cat"]'],
    ['port = 8', `command = ["/bin/sh", "-c", 'while echo up; do sleep 0.05; done']`],
  )
  const reads = await client.connect(faithd.address(own), 7)
  reads.says('to cat')
  await reads.hears('to cat')
  const writes = await client.connect(faithd.address(own), 8)
  await waitFor('the first words', async () => (await writes.status()).received > 0)
  const pids = await waitFor('both lines', () => {
    const found = told(faithd, /^local service: /).map((line) =>
      Number(/pid (\d+)$/.exec(line)?.[1]),
    )
    return found.length === 2 ? found : undefined
  })
  t.true(pids.every(runs))
  faithd.process.kill('SIGKILL')
  await waitFor('both to end', () => !pids.some(runs))
})

testOfRoot('the access list judges clients of a local service', async (t) => {
  const faithd = await start('--deny', `${own}/32`, '7', '/bin/cat')
  // The rules of `permitted` come first, and permit the router's network.
  t.is(await client.dial(faithd.address(own), 7).outcome(), 'connected')
  await faithd.stop()
  const place = freshPlace()
  const denying = await startFaithd(
    lab,
    ['--deny', `${own}/32`, '7', '/bin/cat'],
    'by itself',
    place,
  )
  t.is(await client.dial(denying.address(own), 7).outcome(), 'EACCES')
  t.is((await denying.refusalTo(7)).cause, 'denied-by-rule')
})

testOfRoot('a reload changes the local services, and programs that run go on', async (t) => {
  const { faithd, path } = await startBy(['port = 7', 'command = ["/bin/cat"]'])
  const going = await client.connect(faithd.address(own), 7)
  going.says('before')
  await going.hears('before')
  const place = { name: faithd.name, prefix: faithd.address('') }
  writeFileSync(path, fileOf(place, [['port = 9', 'command = ["/bin/cat"]']]))
  faithd.process.kill('SIGHUP')
  await waitFor('the reload', () => told(faithd, /read again: local services: 1$/)[0])
  t.is(await client.dial(faithd.address(own), 7).outcome(), 'EACCES')
  const fresh = await client.connect(faithd.address(own), 9)
  fresh.says('after')
  await fresh.hears('after')
  going.says(' and after')
  await going.hears('before and after')
})

test("--local host lets the host's own listeners serve its addresses, but for the loopback", async (t) => {
  await router.listen(8081, { greet: 'by the host' })
  const faithd = await start('--local', 'host')
  const dialled = await client.connect(faithd.address(own), 8081)
  await dialled.hears('by the host')
  t.is(await client.dial(faithd.address('127.0.0.1'), 8081).outcome(), 'EACCES')
  t.is((await faithd.refusalTo(8081)).cause, 'loopback')
  t.is(await client.dial(faithd.address(own), 8082).outcome(), 'ECONNREFUSED')
})

test('without a local service an address of the router is denied', async (t) => {
  const faithd = await start()
  t.is(await client.dial(faithd.address(own), 8081).outcome(), 'EACCES')
  t.is((await faithd.refusalTo(8081)).cause, 'own-address')
})

for (const [what, lines, says] of [
  ['port', ['command = ["/bin/cat"]'], /local\.port|a local service needs its `port`/],
  ['command', ['port = 7'], /a local service needs a program by its whole path/],
  [
    'whole path',
    ['port = 7', 'command = ["cat"]'],
    /whole path, such as \/usr\/sbin\/sshd, not 'cat'/,
  ],
  ['user', ['port = 7', 'command = ["/bin/cat"]', 'user = "nobodys"'], /no user 'nobodys'/],
  ['group', ['port = 7', 'command = ["/bin/cat"]', 'group = "nogroups"'], /no group 'nogroups'/],
] as const) {
  test(`a local service without a legal ${what} is refused`, async (t) => {
    const path = join(lab.directory, `refused-${what.replace(' ', '-')}.toml`)
    writeFileSync(path, fileOf({ name: 'refused0', prefix: '3fff:1::' }, [[...lines]]))
    const { code, stderr } = await runFaithd(lab, ['-c', path, '--check'])
    t.is(code, 78, stderr)
    t.regex(stderr, says)
  })
}

test('--user and a local service do not go together', async (t) => {
  const { code, stderr } = await runFaithd(lab, ['-k', '--user', 'daemon', '7', '/bin/cat'])
  t.is(code, 64, stderr)
  t.regex(stderr, /a process of the user daemon starts no program/)
})
