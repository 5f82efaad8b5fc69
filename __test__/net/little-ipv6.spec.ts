/** Hosts with little IPv6: only link-local addresses, or none because IPv6 is disabled. */
import test from 'ava'
import { captured, createLab, waitFor } from '../../lab/index.js'
import { faithdCommand, permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import { Program } from '../programs/program.js'

const lab = await createLab()
const router = await Program.start(lab.router)
test.after.always(() => lab.close())

const accessList = '::/0 permit 198.51.100.0/24\n'

async function on(command: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await lab.router.run(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}

const sysctl = (setting: string) => on('sysctl', '-qw', `net.ipv6.conf.${setting}`)

test.before(async () => {
  await router.keepfaith(true)
  await lab.server.echo({ port: 7 })
})

test.serial('a host with an address of wider scope dials from it', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  await using dialled = await router.dial(captured(), 80)
  const accepted = await listener.accept()
  t.truthy(dialled)
  t.regex(accepted.facts.remote, /^\[2001:db8:/)
})

test.serial('a host without one connects too', async (t) => {
  await on('ip', '-6', 'addr', 'flush', 'dev', 'lan0', 'scope', 'global')
  for (const shortcut of [true, false]) {
    await using faith = await router.create({ shortcut })
    await using relay = await faith.relay({ ports: '7', accessList })
    await using listener = await faith.listen({ port: 80 })
    for (const another of [false, true]) {
      // Adds another link-local address, as systemd-networkd does.
      if (another) await on('ip', 'addr', 'add', 'fe80::f/64', 'dev', 'faith0', 'nodad')
      await using relayed = await router.dial(captured(), 7)
      await relayed.write('by a relay\n')
      t.is(await relayed.line(), 'by a relay')

      await using dialled = await router.dial(captured(), 80)
      await using accepted = await listener.accept()
      t.regex(accepted.facts.remote, another ? /^\[fe80::f/ : /^\[fe80::fa17\b/)
      const bytes = 2 ** 20
      const sent = await Promise.all([accepted.send('down', bytes), dialled.receive(bytes)])
      t.deepEqual(sent[1], { bytes, sha256: sent[0] })
      await t.throwsAsync(router.dial(captured(), 81), { code: 'ECONNREFUSED' })
      await t.throwsAsync(router.dial(captured('192.0.2.1'), 7), { code: 'EACCES' })
    }
    t.is((await relay.stats()).accepted, 2)
  }
})

test.serial('the address returns after the interface was down', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  await on('ip', 'link', 'set', 'faith0', 'down')
  await on('ip', 'link', 'set', 'faith0', 'up')
  await waitFor('a connection', async () => {
    await using dialled = await router.dial(captured(), 80).catch(() => undefined)
    return dialled !== undefined
  })
  t.regex((await listener.accept()).facts.remote, /^\[fe80::fa17\b/)
})

test.serial('IPv6 is enabled on the interface even if it is off for new interfaces', async (t) => {
  await sysctl('default.disable_ipv6=1')
  const faithd = await startFaithd(lab)
  t.true(faithd.process.running)
  await faithd.stop()
  await sysctl('default.disable_ipv6=0')
})

test.serial('the error names the sysctl if IPv6 is off everywhere', async (t) => {
  await sysctl('all.disable_ipv6=1')
  const { code, stderr } = await runFaithd(lab, ['-k', ...permitted])
  t.is(code, 69)
  t.regex(stderr, /IPv6 is disabled: net\.ipv6\.conf\.all\.disable_ipv6 is 1; sysctl -w/)
  await t.throwsAsync(router.create(), { code: 'ERR_FAITH_IPV6' })
  await sysctl('all.disable_ipv6=0')
})

test.serial('without /proc faithd works, and warns about the missing parts', async (t) => {
  const hidden = 'mount -t tmpfs none /proc && exec "$@"'
  const isolated = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', hidden, 'sh']
  const { code, stderr } = await runFaithd(lab, ['--version'], isolated)
  if (code !== 0) return t.log(`Node itself does not run without /proc: ${stderr}`)
  const [command = '', ...rest] = [...isolated, process.execPath]
  const faithd = lab.router.spawn(command, [
    ...rest,
    faithdCommand,
    '-k',
    '--no-control',
    ...permitted,
  ])
  await faithd.line(/captures/)
  t.regex(await faithd.line(/no shortcut/), /\/proc\/thread-self\/ns\/net/)
  await faithd.stop('SIGTERM')
  t.pass()
})
