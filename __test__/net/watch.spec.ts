/** Changes to an interface's surroundings while it works: it repairs some, and warns of all. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { FaithInterfaceOptions, FaithWarningCode } from '../../index.js'
import { captured, waitFor } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import { threadNamed } from '../fixtures/threads.js'
import { Program, type Faith } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()
const prefix = '64:ff9b::/96'
const stopThread = fileURLToPath(new URL('../programs/stop-thread.py', import.meta.url))

async function on(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.router.run(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}

const ip = (...args: string[]) => on('ip', '-6', ...args)

async function create(options: FaithInterfaceOptions = {}): Promise<Faith> {
  const faith = await router.create(options)
  await faith.watch('warning')
  return faith
}

const warnings = async (faith: Faith) => (await faith.told()).warning

/** Waits for the first warning with that code, and returns its message. */
async function warned(faith: Faith, code: FaithWarningCode): Promise<string> {
  const { message } = await waitFor(`the warning ${code}`, async () =>
    (await warnings(faith)).find((warning) => warning.code === code),
  )
  return message
}

/** The veth pair's end on the router. */
async function pair(): Promise<string> {
  const links = await on('ip', '-o', 'link', 'show', 'type', 'veth')
  return /\b(shortcut\d+)@/.exec(links)?.[1] ?? ''
}

test.serial('an undisturbed interface gives no warning', async (t) => {
  await using faith = await create()
  await using listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(server, 80)
  t.truthy(await listener.accept())
  await dialled.close()
  await faith.addPrefix('64:ff9b:1::/48')
  await faith.deletePrefix('64:ff9b:1::/48')
  t.deepEqual(await warnings(faith), [])
})

const setting = 'net.ipv6.conf.faith0.disable_ipv6'

for (const [what, lose, mend, why] of [
  [
    'IPv6 switched off and on',
    () => on('sysctl', '-qw', `${setting}=1`),
    () => on('sysctl', '-qw', `${setting}=0`),
    /IPv6 is disabled .*net\.ipv6\.conf\.faith0\.disable_ipv6/,
  ],
  [
    'an MTU below 1280 and back',
    () => ip('link', 'set', 'faith0', 'mtu', '1200'),
    () => ip('link', 'set', 'faith0', 'mtu', '1500'),
    /MTU of 1280 or more/,
  ],
  [
    'being down and up',
    () => ip('link', 'set', 'faith0', 'down'),
    () => ip('link', 'set', 'faith0', 'up'),
    /is down/,
  ],
] as const) {
  test.serial(`the route is restored after ${what}, with a warning for each`, async (t) => {
    await using faith = await create()
    await using listener = await faith.listen({ port: 80 })
    await lose()
    const lost = await warned(faith, 'routes-lost')
    t.regex(lost, /^faith0: .*64:ff9b::\/96/)
    t.regex(lost, why)
    await mend()
    t.regex(await warned(faith, 'routes-restored'), /^faith0: .*64:ff9b::\/96/)
    await using dialled = await client.dial(server, 80)
    t.truthy(await listener.accept())
    await dialled.close()
    t.deepEqual(
      (await warnings(faith)).map(({ code }) => code),
      ['routes-lost', 'routes-restored'],
    )
  })
}

test.serial('all routes that a program deletes are restored', async (t) => {
  const prefixes = [prefix, '64:ff9b:1::/48']
  await using faith = await create({ prefixes })
  await ip('route', 'flush', 'dev', 'faith0')
  await waitFor('both routes', async () => {
    const routes = await ip('route', 'show', 'dev', 'faith0')
    return prefixes.every((each) => routes.includes(`${each} `))
  })
  t.regex(await warned(faith, 'routes-restored'), /64:ff9b:/)
})

test.serial('with `routes: false` the interface leaves routes alone', async (t) => {
  await using faith = await create({ routes: false })
  await ip('route', 'add', prefix, 'dev', 'faith0')
  await ip('route', 'del', prefix, 'dev', 'faith0')
  // Notices come in order: after the later one, the earlier one has been handled.
  await ip('link', 'set', 'faith0', 'down')
  await ip('link', 'set', 'faith0', 'up')
  if ((await faith.stats()).shortcut) {
    await ip('link', 'set', await pair(), 'down')
    await warned(faith, 'shortcut-lost')
  }
  t.is(await ip('route', 'show', prefix), '')
})

test.serial(
  'another route that wins over the interface’s own is reported, and so is its end',
  async (t) => {
    await using faith = await create()
    const theirs = [prefix, 'dev', 'lan0', 'metric', '20']
    await ip('route', 'add', ...theirs)
    t.regex(await warned(faith, 'routes-lost'), /another route for it takes precedence/)
    await ip('route', 'del', ...theirs)
    await warned(faith, 'routes-restored')
    t.deepEqual((await ip('route', 'show', prefix)).trim().split('\n').length, 1)
  },
)

test.serial(
  'the interface stops restoring a route that a program deletes again and again',
  async (t) => {
    await using faith = await create()
    let deleted = 0
    const contested = async () =>
      (await warnings(faith)).some(({ code }) => code === 'routes-contested')
    await waitFor('the interface to give up', async () => {
      const { code } = await lab.router.run('ip', ['-6', 'route', 'del', prefix, 'dev', 'faith0'])
      if (code === 0) deleted += 1
      return await contested()
    })
    t.true(deleted >= 5, `${deleted}`)
    await lab.router.run('ip', ['-6', 'route', 'del', prefix, 'dev', 'faith0'])
    const restored = (await warnings(faith)).filter(({ code }) => code === 'routes-restored')
    t.is(restored.length, 5)
    t.is(await ip('route', 'show', prefix), '')
  },
)

for (const [what, take, why] of [
  ['deleted', ['link', 'del'], /pair was removed/],
  ['down', ['link', 'set', 'down', 'dev'], /pair is down/],
] as const) {
  test.serial(`a pair that is ${what} gives a warning`, async (t) => {
    await using faith = await create()
    if (!(await faith.stats()).shortcut) {
      t.pass('no shortcut here')
      return
    }
    await ip(...take, await pair())
    t.regex(await warned(faith, 'shortcut-lost'), why)
    t.false((await faith.stats()).shortcut)
  })
}

test.serial('changes whose notices were lost are still seen', async (t) => {
  const own = '198.51.100.77'
  const accessList = '::/0 permit 198.51.100.0/24\n'
  await using faith = await create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  await lab.server.echo({ port: 7 })
  await (await client.dial(server, 7)).close()
  const shortcut = await pair()
  const storm = Array.from(
    { length: 2000 },
    (_, index) => `link set lan0 txqueuelen ${1000 + (index % 2)}`,
  )
  const batch = (lines: string[]) =>
    lab.router.run('ip', ['-batch', '-'], { input: lines.join('\n') })

  // Stops the process, so that it reads nothing and the kernel drops notices.
  process.kill(router.process.pid, 'SIGSTOP')
  await batch(storm)
  await on('ip', 'addr', 'add', `${own}/32`, 'dev', 'lo')
  if (shortcut !== '') await ip('link', 'del', shortcut)
  await ip('route', 'del', prefix, 'dev', 'faith0')
  await batch(storm)
  process.kill(router.process.pid, 'SIGCONT')

  await warned(faith, 'routes-restored')
  if (shortcut !== '') await warned(faith, 'shortcut-lost')
  await t.throwsAsync(client.dial(captured(own), 7), { code: 'EACCES' })
  await (await client.dial(server, 7)).close()
  await on('ip', 'addr', 'del', `${own}/32`, 'dev', 'lo')
  await relay.close()
})

test.serial('a stuck worker is reported, and so is its recovery', async (t) => {
  await using faith = await create({ workers: 2 })
  const stopping = lab.router.spawn('python3', [
    stopThread,
    threadNamed(router.process.pid, 'faith0/1'),
  ])
  await stopping.line(/^stopped$/)
  t.regex(await warned(faith, 'worker-stuck'), /worker 1 has done nothing for more than 5 s/)
  stopping.stdin.end()
  t.regex(await warned(faith, 'worker-runs'), /worker 1 works again/)
  t.deepEqual(
    (await warnings(faith)).map(({ code }) => code),
    ['worker-stuck', 'worker-runs'],
  )
})

for (const [what, before, codes] of [
  ['gives no warning', [], []],
  [
    'gives exactly one warning if clients cannot be reset',
    ['setpriv', '--bounding-set=-net_raw', '--inh-caps=-net_raw'],
    ['clients-untold'],
  ],
] as const) {
  test.serial(`the deletion of the interface ${what}`, async (t) => {
    await using program = await Program.start(lab.router, before)
    await program.keepfaith(true)
    const faith = await program.create({ workers: 3 })
    await faith.watch('warning')
    await on('ip', 'link', 'del', 'faith0')
    await waitFor('the interface to close', async () => (await faith.happened()).includes('close'))
    t.deepEqual(
      (await warnings(faith)).map(({ code }) => code),
      [...codes],
    )
  })
}

test.serial('warnings are also published on a diagnostics channel', async (t) => {
  await router.ask('subscribe', 'faithd:warning')
  await using faith = await create()
  await ip('route', 'flush', 'dev', 'faith0')
  const message = await warned(faith, 'routes-restored')
  const published = await router.ask('published')
  t.deepEqual(published.at(-1), [
    'faithd:warning',
    { interface: 'faith0', code: 'routes-restored', message },
  ])
})

test.serial(
  'faithd logs warnings, including those from before its interface existed',
  async (t) => {
    const faithd = await startFaithd(lab, permitted, 'on demand')
    const logged = () => faithd.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)
    for (const warning of [
      /^faith1: there is no shortcut.*Linux 6\.6/,
      /^faith1: listeners of several ports.*Linux 5\.9/,
    ]) {
      await waitFor('a warning', () => logged().some((msg) => warning.test(msg)))
    }
    t.pass()
    await ip('route', 'del', '3fff:64::/96', 'dev', 'faith1')
    await faithd.process.line(/the host routes 3fff:64::\/96 here again/)
    await faithd.stop()
  },
)
