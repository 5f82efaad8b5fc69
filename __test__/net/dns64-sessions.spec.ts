/** With `--dns64`, a session has the name that its client asked for. */
import { join } from 'node:path'
import test from 'ava'
import type { Session } from '../../cli/control/schemas.js'
import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { LabProcess } from '../../lab/index.js'
import { Control } from '../fixtures/control.js'
import { permitted } from '../fixtures/faithd.js'
import { faithctl } from '../fixtures/faithctl.js'
import { startNameServer } from '../fixtures/name-server.js'

const lab = await createLab()
await startNameServer(lab, [
  'www.example.net. 300 A 198.51.100.2',
  'alias.example.net. 300 CNAME www.example.net.',
])
await lab.server.echo({ port: 7 })
const control = new Control(lab.router, join(lab.directory, 'control.sock'))

let faithd: LabProcess | undefined

test.afterEach.always(async () => {
  await faithd?.stop()
  faithd = undefined
})
test.after.always(() => lab.close())

const served = '2001:db8:64::198.51.100.2'

async function start(...args: readonly string[]): Promise<LabProcess> {
  const capture = ['-k', '-P', '2001:db8:64::/96', '--control', control.path, '--drain', '0']
  faithd = await lab.router.faithd([...capture, ...permitted, ...args])
  return faithd
}

const dns64 = ['--dns64', '--dns64-upstream', addresses.server]

async function ask(name: string): Promise<void> {
  const args = ['+short', '+tries=1', '+time=10', `@${addresses.gateway}`, 'AAAA', name]
  const { stdout } = await lab.client.run('dig', args)
  if (!stdout.includes('2001:db8:64::c633:6402')) throw new Error(`${name}: ${stdout}`)
}

/** Begins a session, and gives what the control socket tells about it. */
async function connect(): Promise<{ client: LabProcess; session: Session }> {
  const client = lab.client.spawn('nc', ['-6', served, '7'])
  const session = await waitFor('the session', async () => {
    const { json } = await control.get('/v1/sessions')
    return (json as { sessions: Session[] }).sessions[0]
  })
  return { client, session }
}

test.serial('a session has the last name for which its client got the address', async (t) => {
  const running = await start(...dns64, '--log-format', 'json', '--log-begin')
  await ask('WWW.Example.Net')
  await ask('alias.example.net')
  const { client, session } = await connect()
  t.is(session.name, 'alias.example.net')
  const { json } = await control.get(`/v1/sessions/${session.id}`)
  t.is((json as Session).name, 'alias.example.net')
  for (const args of [['sessions'], ['session', session.id]]) {
    t.regex((await faithctl(control, args, 200)).text, /alias\.example\.net/)
  }
  await client.stop()
  const line = await running.line(/"session":\{/)
  t.regex(line, /"name":"alias\.example\.net"/)
  t.regex(line, /"msg":".*, name alias\.example\.net"/)
  await running.line(/"begin":\{.*"name":"alias\.example\.net"/)
})

test.serial('a client that asked for no name has none', async (t) => {
  const running = await start(...dns64)
  const { client, session } = await connect()
  t.is(session.name, undefined)
  await client.stop()
  t.notRegex(await running.line(/bytes? up, /), /name/)
})

test.serial('without destinations the log has no name', async (t) => {
  const running = await start(...dns64, '--log-format', 'json', '--no-log-destinations')
  await ask('www.example.net')
  const { client, session } = await connect()
  t.is(session.name, 'www.example.net')
  await client.stop()
  t.notRegex(await running.line(/"session":\{/), /example/)
})
