/** `--advertise`: hosts of a link learn the prefixes by PREF64, and keep what other routers tell them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { Status } from '../../cli/control/schemas.js'
import { createLab, faithPrefix, userArguments, waitFor } from '../../lab/index.js'
import type { Host, Lab, LabProcess } from '../../lab/index.js'
import { type Advertisement, Advertisements } from '../fixtures/advertisements.js'
import { isMachineRoot } from '../../scripts/namespaces.mjs'
import { Control } from '../fixtures/control.js'
import { permitted, runFaithd } from '../fixtures/faithd.js'

let lab: Lab
let own: string

test.beforeEach(async () => {
  lab = await createLab()
  own = await linkLocal(lab.router, 'lan0')
})
test.afterEach.always(() => lab.close())

const ours = [{ prefix: faithPrefix, lifetime: 1800 }]
const ended = [{ prefix: faithPrefix, lifetime: 0 }]
const same = (one: { prefixes: object[] }, prefixes: object[]) =>
  JSON.stringify(one.prefixes) === JSON.stringify(prefixes)

/** The lifetimes by prefix. */
const lifetimes = ({ prefixes }: Advertisement): Record<string, number> =>
  Object.fromEntries(prefixes.map(({ prefix, lifetime }) => [prefix, lifetime]))

const checkOnly = (...args: string[]) =>
  runFaithd(lab, ['-k', '--check', '--advertise', 'lan0', ...args])

async function run(host: Host, command: string): Promise<string> {
  const { code, stdout, stderr } = await host.run('sh', ['-c', command])
  if (code !== 0) throw new Error(`${command}: ${stderr}`)
  return stdout.trim()
}

async function linkLocal(host: Host, device: string): Promise<string> {
  const show = `ip -6 -o addr show dev ${device} scope link`
  return await waitFor('a link-local address', async () => {
    const [, address] = / inet6 ([^/]+)\//.exec(await run(host, show)) ?? []
    return address
  })
}

/** Starts faithd, which advertises on lan0, and gives its control socket. */
async function start(...args: string[]): Promise<{ faithd: LabProcess; control: Control }> {
  const path = join(lab.directory, 'control.sock')
  const more = ['-k', ...permitted, '--advertise', 'lan0', '--control', path, ...args]
  const faithd = await lab.router.faithd(more)
  return { faithd, control: new Control(lab.router, path) }
}

/** The state of the only link. */
async function linkOf(control: Control) {
  const { advertisements = [] } = (await control.get('/v1/status')).json as Status
  return advertisements[0]
}

test.serial(
  'a host hears the prefix, in an advertisement of a router that is no default router',
  async (t) => {
    const heard = await Advertisements.on(lab.client, 'eth0')
    const { control } = await start()
    const one = await heard.next(({ prefixes }) => prefixes.length > 0)
    const link = await linkOf(control)
    t.deepEqual(one, {
      source: link?.source ?? '',
      destination: 'ff02::1',
      hopLimit: 255,
      currentHopLimit: 0,
      flags: 0,
      routerLifetime: 0,
      timers: '0000000000000000',
      options: [38],
      prefixes: ours,
    })
    t.regex(one.source, /^fe80::/)
    // Hosts would take away a default route by this address.
    t.not(one.source, own)
    t.is(link?.state, 'advertising')
  },
)

test.serial('an advertisement has every prefix, and its own lifetime', async (t) => {
  const heard = await Advertisements.on(lab.client, 'eth0')
  const more = ['-P', '64:ff9b::/96', '-P', '2001:db8:64::/48', '--advertise-lifetime', '601']
  await start(...more)
  const one = await heard.next(({ prefixes }) => prefixes.length > 0)
  t.deepEqual(
    one.prefixes.toSorted((first, second) => first.prefix.localeCompare(second.prefix)),
    [
      { prefix: '2001:db8:64::/48', lifetime: 608 },
      { prefix: '64:ff9b::/96', lifetime: 608 },
    ],
  )
})

test.serial(
  'hosts keep the default route by radvd on the same interface, and DHCPv6 by its flags',
  async (t) => {
    const file = join(lab.directory, 'radvd.conf')
    writeFileSync(
      file,
      'interface lan0 { AdvSendAdvert on; AdvManagedFlag on; MaxRtrAdvInterval 1800; MinRtrAdvInterval 1350; };\n',
    )
    await run(lab.client, 'ip -6 route del default; echo 2 >/proc/sys/net/ipv6/conf/eth0/accept_ra')
    const heard = await Advertisements.on(lab.client, 'eth0')
    const radvd = ['-n', '-m', 'stderr', '-C', file, '-p', join(lab.directory, 'radvd.pid')]
    lab.router.spawn('radvd', radvd)
    const route = () => run(lab.client, 'ip -6 route show default')
    await waitFor('the default route', async () => (await route()).includes(`via ${own} `))

    const { control } = await start()
    const managed = 0x80
    const one = await heard.next(
      ({ prefixes, flags }) => same({ prefixes }, ours) && flags === managed,
    )
    t.is(one.routerLifetime, 0)
    // When the host has heard another one, it has done with the one before.
    heard.solicit()
    await heard.next(({ prefixes }) => same({ prefixes }, ours))
    t.regex(await route(), new RegExp(`via ${own} `))
    t.is((await linkOf(control))?.state, 'advertising')
  },
)

test.serial('a solicitation is answered, and counted', async (t) => {
  const heard = await Advertisements.on(lab.client, 'eth0')
  const { control } = await start()
  await heard.next(({ prefixes }) => same({ prefixes }, ours))
  heard.solicit()
  await waitFor('the count', async () => ((await linkOf(control))?.solicitations ?? 0) > 0)
  // The next one without it would come up to 16 seconds later.
  await heard.next(({ prefixes }) => same({ prefixes }, ours))
  const { sent = 0, failed } = (await linkOf(control)) ?? {}
  t.true(sent >= 2)
  t.is(failed, 0)
})

test.serial('the prefix is withdrawn while keepfaith is 0, and at the end', async (t) => {
  const heard = await Advertisements.on(lab.client, 'eth0')
  const { faithd, control } = await start()
  await heard.next(({ prefixes }) => same({ prefixes }, ours))
  await control.ask('PUT', '/v1/keepfaith', { on: false })
  await heard.next(({ prefixes }) => same({ prefixes }, ended))
  await control.ask('PUT', '/v1/keepfaith', { on: true })
  await heard.next(({ prefixes }) => same({ prefixes }, ours))
  await faithd.stop('SIGTERM', { timeout: 15_000 })
  await heard.next(({ prefixes }) => same({ prefixes }, ended))
  t.deepEqual(heard.all.at(-1)?.prefixes, ended)
})

test.serial(
  'a prefix that is added is advertised, and one that is removed is withdrawn',
  async (t) => {
    const heard = await Advertisements.on(lab.client, 'eth0')
    const { control } = await start()
    await heard.next(({ prefixes }) => same({ prefixes }, ours))
    const other = '2001:db8:64::/96'
    await control.ask('POST', '/v1/interfaces/faith0/prefixes', { prefix: other })
    await heard.next(
      (one) => lifetimes(one)[other] === 1800 && lifetimes(one)[faithPrefix] === 1800,
    )
    await control.ask('DELETE', `/v1/interfaces/faith0/prefixes/${encodeURIComponent(other)}`)
    await heard.next((one) => lifetimes(one)[other] === 0 && lifetimes(one)[faithPrefix] === 1800)
    t.pass()
  },
)

test.serial(
  'an interface that goes is told, and one that is back is advertised on again',
  async (t) => {
    const heard = await Advertisements.on(lab.client, 'eth0')
    const { faithd, control } = await start()
    await heard.next(({ prefixes }) => same({ prefixes }, ours))
    await run(lab.router, 'ip link set lan0 down && ip link set lan0 name gone')
    await faithd.line(
      /WARN: lan0: the prefixes are not advertised, because the interface is missing/,
    )
    const status = (await control.get('/v1/status')).json as Status
    t.is(status.advertisements?.[0]?.state, 'absent')
    t.true(status.problems.some((problem) => problem.startsWith('lan0: the prefixes are not')))
    const before = heard.all.length
    await run(lab.router, 'ip link set gone name lan0 && ip link set lan0 up')
    await waitFor(
      'the interface to be back',
      async () => (await linkOf(control))?.state === 'advertising',
    )
    await waitFor('an advertisement', () => heard.all.slice(before).some((one) => same(one, ours)))
  },
)

test.serial('an interface that does not exist yet is advertised on when it comes', async (t) => {
  const { faithd, control } = await start('--advertise', 'later')
  await faithd.line(/WARN: later: the prefixes are not advertised/)
  await run(
    lab.router,
    'ip link add later type veth peer name far && ip link set later up && ip link set far up',
  )
  await faithd.line(/INFO: later: advertises the prefixes \(PREF64\) from fe80::/)
  const far = await Advertisements.on(lab.router, 'far')
  const one = await far.next(({ prefixes }) => prefixes.length > 0)
  t.true(same(one, ours))
  const { advertisements = [] } = (await control.get('/v1/status')).json as Status
  t.deepEqual(
    advertisements.map(({ interface: name }) => name),
    ['lan0', 'later'],
  )
})

test.serial('faithd stops where another host has the address of its advertisements', async (t) => {
  const heard = await Advertisements.on(lab.client, 'eth0')
  const { faithd, control } = await start()
  const { source } = await heard.next(({ prefixes }) => same({ prefixes }, ours))
  heard.advertise(source)
  await faithd.line(
    new RegExp(
      `ERROR: lan0: another host sends advertisements from ${source}, .* faithd sends none there`,
    ),
  )
  t.is((await linkOf(control))?.state, 'conflict')
})

test.serial(
  'a reload changes the interfaces, and withdraws the prefix where it is advertised no longer',
  async (t) => {
    const file = join(lab.directory, 'faithd.toml')
    const write = (links: string, lifetime: number) =>
      writeFileSync(
        file,
        `keepfaith = true\n[pref64]\nadvertise = ${links}\nlifetime = ${lifetime}\n[[interface]]\n`,
      )
    write('["lan0"]', 1800)
    const heard = await Advertisements.on(lab.client, 'eth0')
    const faithd = await lab.router.faithd(['-c', file])
    await heard.next(({ prefixes }) => same({ prefixes }, ours))
    write('["wan0"]', 1800)
    faithd.kill('SIGHUP')
    await faithd.line(/the prefixes are advertised on wan0/)
    await heard.next(({ prefixes }) => same({ prefixes }, ended))
    write('["lan0"]', 800)
    faithd.kill('SIGHUP')
    await faithd.line(/the prefixes are advertised on lan0/)
    await heard.next(({ prefixes }) => same({ prefixes }, [{ prefix: faithPrefix, lifetime: 800 }]))
    t.pass()
  },
)

/** Root of a user namespace with a single user can become no other one. */
const testOfRoot = isMachineRoot() ? test.serial : test.serial.skip

testOfRoot('with --user faithd advertises, and a reload cannot begin with it', async (t) => {
  const file = join(lab.directory, 'faithd.toml')
  const write = (advertise: string) =>
    writeFileSync(file, `keepfaith = true\n[pref64]\nadvertise = ${advertise}\n[[interface]]\n`)
  const user = userArguments.length > 0 ? [] : ['--user', 'nobody']

  write('["lan0"]')
  const heard = await Advertisements.on(lab.client, 'eth0')
  const faithd = await lab.router.faithd(['-c', file, ...user])
  await faithd.line(/runs as \w+/)
  await heard.next(({ prefixes }) => same({ prefixes }, ours))
  heard.solicit()
  await heard.next(({ prefixes }) => same({ prefixes }, ours))
  await faithd.stop('SIGTERM', { timeout: 15_000 })
  await heard.next(({ prefixes }) => same({ prefixes }, ended))

  write('[]')
  const other = await lab.router.faithd(['-c', file, ...user])
  await other.line(/runs as \w+/)
  write('["lan0"]')
  other.kill('SIGHUP')
  await other.line(/ERROR: SIGHUP: cannot advertise the prefix: .*; start faithd again/)
  await other.line(/nothing was changed: the configuration in force is kept/)
  t.pass()
})

test.serial('settings that hosts could not use are refused', async (t) => {
  for (const [args, complaint] of [
    [['--advertise-lifetime', '400'], /400 s are less than the interval, 600 s/],
    [
      ['-P', '2001:db8:64::/64', '--mapping', 'low32'],
      /mapping = "low32" that agrees on a \/96 alone/,
    ],
    [['--advertise', 'a/b'], /--advertise: 'a\/b' is not the name of an interface/],
    [['--advertise-interval', '3'], /'3' is not a whole number from 4 to 1800/],
  ] as const) {
    const { code, stderr } = await checkOnly(...args)
    t.is(code, 64, stderr)
    t.regex(stderr, complaint)
  }
  t.is((await checkOnly('-P', '2001:db8:64::/96', '--mapping', 'low32')).code, 0)
})
