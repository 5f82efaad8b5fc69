/** checkSupport() finds everything in the lab's router, and elsewhere exactly the missing parts. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { createLab, nodeCommand, waitFor, type Host } from '../../../lab/index.js'
import type { Found } from '../../programs/support.js'

const lab = await createLab()
test.after.always(() => lab.close())

const program = fileURLToPath(new URL('../../programs/support.ts', import.meta.url))
const withoutBpf = fileURLToPath(new URL('../../programs/relay-without-bpf.py', import.meta.url))

/** The result of the check in a process of that host; `before` is a command that runs it. */
async function find(
  host: Host,
  before: readonly string[] = [],
  options: readonly string[] = [],
): Promise<Found> {
  const [node, args] = nodeCommand(program, options)
  const [command = node, ...rest] = [...before, node, ...args]
  const { stdout, stderr } = await host.run(command, rest)
  if (stdout === '') throw new Error(`${command} printed nothing: ${stderr}`)
  return JSON.parse(stdout) as Found
}

/** Runs the following command with these capabilities only. */
const only = (...capabilities: string[]) => {
  const bounds = ['-all', ...capabilities.map((name) => `+${name}`)].join(',')
  return ['setpriv', `--bounding-set=${bounds}`, '--inh-caps=-all', '--']
}

/** Runs the following command with another /dev/net; `script` fills it. */
const withDevNet = (script: string) => {
  const replace = `mount -t tmpfs tmpfs /dev/net && ${script}exec "$@"`
  return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', replace, 'sh']
}

test.serial('the router has everything, and no hints', async (t) => {
  const { support } = await find(lab.router)
  const { skLookup, shortcut, ...others } = support
  t.like(others, { ok: true, tun: { ok: true }, namespace: { ok: true } })
  t.like(others.forwarding, { ok: true, detail: 'net.ipv6.conf.all.forwarding is 1' })
  for (const check of [others.tun, others.namespace, others.forwarding]) t.false('hint' in check)
  for (const check of [skLookup, shortcut]) t.is(typeof check.detail, 'string')
})

test.serial('sk_lookup is reported exactly if interfaces steer by it', async (t) => {
  const { support, steering } = await find(lab.router, [], ['--steering'])
  t.is(steering, support.skLookup.ok ? 'sk_lookup' : 'on-demand')
})

test.serial('a shortcut is reported exactly if interfaces have one', async (t) => {
  const { support, shortcut } = await find(lab.router, [], ['--steering'])
  t.is(shortcut, support.shortcut.ok)
})

test.serial(
  'without bpf(2) only sk_lookup and the shortcut are missing, and interfaces can be made',
  async (t) => {
    const found = await find(lab.router, ['python3', withoutBpf], ['--steering'])
    const { support, steering, shortcut } = found
    t.like(support, { ok: true, tun: { ok: true }, namespace: { ok: true } })
    t.false(support.skLookup.ok)
    t.regex(support.skLookup.detail, /sk_lookup program: .*Linux 5\.9/)
    t.regex(support.skLookup.hint ?? '', /CAP_BPF/)
    t.false(support.shortcut.ok)
    t.regex(support.shortcut.detail, /shortcut program: .*Linux 6\.6/)
    t.is(steering, 'on-demand')
    t.false(shortcut)
  },
)

test.serial('without CAP_NET_ADMIN there is no TUN, and the hint names it', async (t) => {
  const { support, steering } = await find(lab.router, only('sys_admin'), ['--steering'])
  t.like(support, { ok: false, tun: { ok: false }, namespace: { ok: true } })
  t.regex(support.tun.detail, /TUNSETIFF: Operation not permitted/)
  t.regex(support.tun.hint ?? '', /CAP_NET_ADMIN/)
  t.notRegex(support.tun.hint ?? '', /CAP_SYS_ADMIN/)
  t.regex(steering, /cannot create faith7/)
})

test.serial('without CAP_SYS_ADMIN there is no namespace, and the hint names it', async (t) => {
  const { support, steering } = await find(lab.router, only('net_admin'), ['--steering'])
  t.like(support, { ok: false, tun: { ok: true }, namespace: { ok: false } })
  t.regex(support.namespace.detail, /network namespace: Operation not permitted/)
  t.regex(support.namespace.hint ?? '', /CAP_SYS_ADMIN/)
  t.false(support.skLookup.ok)
  t.regex(support.skLookup.detail, /not tried/)
  t.regex(steering, /cannot make the private namespace/)
})

test.serial('an ordinary user gets a hint for everything missing', async (t) => {
  const { support } = await find(lab.router, only())
  t.like(support, {
    ok: false,
    tun: { ok: false },
    namespace: { ok: false },
    skLookup: { ok: false },
    shortcut: { ok: false },
  })
  t.true(support.forwarding.ok)
  for (const check of [support.tun, support.namespace, support.skLookup, support.shortcut]) {
    t.true(check.detail.length > 0 && !check.detail.includes('\n'), 'one line')
    t.regex(check.hint ?? '', /CAP_/)
  }
})

test.serial('without /dev/net/tun the hint names the module to load', async (t) => {
  const { support } = await find(lab.router, withDevNet(''))
  t.like(support, { ok: false, tun: { ok: false }, namespace: { ok: true } })
  t.regex(support.tun.detail, /\/dev\/net\/tun: No such file/)
  t.regex(support.tun.hint ?? '', /modprobe tun/)
})

test.serial('a /dev/net/tun without permission differs from a missing one', async (t) => {
  const closed = withDevNet('touch /dev/net/tun && chmod 0 /dev/net/tun && ')
  const { support } = await find(lab.router, [...closed, ...only()])
  t.regex(support.tun.detail, /\/dev\/net\/tun: Permission denied/)
  t.regex(support.tun.hint ?? '', /readable and writable/)
})

test.serial('a host that does not forward gets the command that enables it', async (t) => {
  const { support } = await find(lab.client)
  t.true(support.ok, 'it still captures its own connections')
  t.deepEqual(support.forwarding, {
    ok: false,
    detail: 'net.ipv6.conf.all.forwarding is 0',
    hint: 'as root: sysctl net.ipv6.conf.all.forwarding=1',
  })
})

for (const [limit, ok] of [
  [16_384, true],
  [16_383, false],
] as const) {
  test.serial(`a limit of ${limit} descriptors is ${ok ? 'enough' : 'too low'}`, async (t) => {
    const { support } = await find(lab.router, ['prlimit', `--nofile=${limit}`])
    t.is(support.descriptors.ok, ok)
    t.regex(support.descriptors.detail, new RegExp(`^${limit} descriptors`))
    t.regex(support.descriptors.hint ?? 'ulimit -n, not needed', /ulimit -n/)
    t.true(support.ok)
  })
}

test.serial(
  'the check leaves nothing in the process, and no device appears on the host',
  async (t) => {
    const monitor = lab.router.spawn('ip', ['-o', 'monitor', 'link', 'address', 'route'])
    const toggle = (name: string) =>
      lab.router.run('sh', ['-c', `ip tuntap add ${name} mode tun && ip link del ${name}`])
    // Ignores two things: the lab's own links may get their link-local addresses (fe80) only now, and ip(8) reports its
    // first dump as "interrupted" if another network namespace changes meanwhile.
    const other = /\b(?:before|after)0\b|\bfe80:|^Dump was interrupted/
    const events = () => monitor.lines.filter((line) => !other.test(line))
    await waitFor('the monitor to listen', async () => {
      await toggle('before0')
      return monitor.lines.length > 0
    })
    const { support, descriptors, threads } = await find(lab.router)
    t.true(support.ok)
    t.is(descriptors, 0)
    // Only the threads for calls exist; the addon starts them when it is loaded.
    t.deepEqual(new Set(threads), new Set(['faith/calls']))

    await toggle('after0')
    await monitor.line(/^Deleted .*\bafter0\b/)
    t.deepEqual(events(), [])
  },
)
