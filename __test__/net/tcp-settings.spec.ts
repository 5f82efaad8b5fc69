/** The router's TCP settings apply to its clients' connections, too. */
import test from 'ava'
import { captured } from '../../lab/index.js'
import { inPrivateNamespace } from '../fixtures/private-namespace.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()

/** The value of a setting on the router, and in the namespace where its clients are connected. */
async function values(setting: string): Promise<[router: string, clients: string]> {
  const command = `cat /proc/sys/net/ipv4/${setting}`
  const { stdout } = await lab.router.run('sh', ['-c', command])
  const inside = await inPrivateNamespace(lab.router, router.process.pid, command)
  return [stdout.trim(), inside.trim()]
}

async function set(setting: string, value: number | string): Promise<void> {
  const command = `echo ${value} >/proc/sys/net/ipv4/${setting}`
  const { code, stderr } = await lab.router.run('sh', ['-c', command])
  if (code !== 0) throw new Error(stderr)
}

test.serial('a connection has the router’s congestion control and options', async (t) => {
  await set('tcp_congestion_control', 'reno')
  await set('tcp_window_scaling', 0)
  await set('tcp_fin_timeout', 17)
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(captured(), 80)
  await listener.accept()
  t.deepEqual(await values('tcp_fin_timeout'), ['17', '17'])
  const inside = await inPrivateNamespace(lab.router, router.process.pid, 'ss -Htin')
  t.regex(inside, /\breno\b/)
  t.notRegex(inside, /\bwscale\b/)
  const { local } = await dialled.look()
  const { stdout } = await lab.client.run('ss', ['-Htin', 'sport', '=', `:${local.port}`])
  t.regex(stdout, /\bmss:/)
  t.notRegex(stdout, /\bwscale\b/)
})

test.serial(
  'tcp_early_demux is on for captured connections even if the router disables it for forwarding',
  async (t) => {
    await set('tcp_early_demux', 0)
    await using faith = await router.create()
    await faith.listen({ port: 80 })
    t.deepEqual(await values('tcp_early_demux'), ['0', '1'])
  },
)
