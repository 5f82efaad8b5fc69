/** The stream of events, and reloads, over the control socket. */
import { writeFileSync } from 'node:fs'
import { connect as connectTo } from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import * as schemas from '../../cli/control/schemas.js'
import { churn, connect, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Control, startControlled } from '../fixtures/control.js'
import { Faithd } from '../fixtures/faithd.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

const rules = ['--permit', '198.51.100.0/24']

/** Follows the events with curl. */
function follow({ path }: Control) {
  const args = ['-sSN', '--unix-socket', path, 'http://faithd/v1/events', '-v']
  const curl = lab.router.spawn('curl', args)
  const events = () =>
    curl.lines
      .filter((line) => line.startsWith('{"'))
      .map((line) => schemas.event.parse(JSON.parse(line)))
  return { curl, events, begun: curl.line(/^< Content-Type: application\/x-ndjson/i) }
}

test('ended sessions and refusals are told while a reader follows, also if the log has none', async (t) => {
  const { faithd, control } = await startControlled(lab, ['--deny', '198.51.100.9', ...rules])
  t.is((await control.ask('PUT', '/v1/log', { level: 'warn' })).status, 200)
  const { curl, events, begun } = follow(control)
  await begun
  await connect(lab.client, { address: faithd.address(), port: 7 })
  await connect(lab.client, { address: faithd.address('198.51.100.9'), port: 7 })
  await waitFor('both events', () => events().length === 2)
  const session = events().find((event) => event.type === 'session')
  t.like(session?.type === 'session' && session.session, {
    interface: faithd.name,
    reason: 'closed',
  })
  const refused = events().find((event) => event.type === 'refused')
  t.like(refused?.type === 'refused' && refused.refusal, {
    reason: 'denied',
    cause: 'denied-by-rule',
    rule: { text: '::/0 deny 198.51.100.9/32', line: 1 },
  })
  await curl.stop('SIGTERM')
  t.is(faithd.sessions.length, 0)
})

test('a reader that does not read loses events, which are counted, and stops nothing', async (t) => {
  const { faithd, control } = await startControlled(lab, rules)
  const socket = connectTo(control.path)
  socket.write('GET /v1/events HTTP/1.1\r\nHost: faithd\r\n\r\n')
  let heard = ''
  socket.setEncoding('utf8').on('data', (piece: string) => (heard += piece))
  await waitFor('the head', () => heard.includes('\r\n\r\n'))
  socket.pause()
  const before = faithd.memory
  const { done } = await churn(lab.client, { address: faithd.address(), port: 7, count: 4000 })
  t.is(done, 4000)
  t.true(faithd.memory - before < 64 << 20)
  socket.resume()
  const lines = () =>
    [...heard.matchAll(/^\{.*\}$/gm)].map(([line]) => schemas.event.parse(JSON.parse(line)))
  const counted = () =>
    lines().reduce((sum, event) => sum + (event.type === 'lost' ? event.events : 1), 0)
  await waitFor(
    () => `4000 events; ${counted()} came`,
    () => counted() === 4000,
  )
  t.true(lines().some(({ type }) => type === 'lost'))
  socket.destroy()
})

test('a reload over the socket answers with the changes, or with every error', async (t) => {
  const path = join(lab.directory, 'events.toml')
  const socket = join(lab.directory, 'reload.sock')
  const write = (...lines: string[]) =>
    writeFileSync(
      path,
      [
        'keepfaith = true',
        `control = "reload.sock"`,
        '[[interface]]',
        'name = "rel0"',
        'prefixes = ["3fff:e1::/96"]',
        '[[interface.relay]]',
        ...lines,
        '',
      ].join('\n'),
    )
  write('drain = 1')
  const process = await lab.router.faithd(['-c', path, '--control', socket])
  const faithd = new Faithd(process, { name: 'rel0', prefix: '3fff:e1::' })
  const control = new Control(lab.router, socket)
  const reload = async () => await control.ask('POST', '/v1/reload')

  write('drain = 2', 'rules = ["deny 0.0.0.0/0"]')
  const told = schemas.reloaded.parse((await reload()).json)
  t.deepEqual(told.changes, ['rel0, ports all: rules, drain'])
  t.deepEqual(told.warnings, ['no rule permits anything, so every connection is denied'])

  write('drai = 2', 'mtu = 3')
  const refused = await reload()
  t.is(refused.status, 422)
  const { detail } = schemas.problem.parse(refused.json)
  t.regex(detail, /drai: there is no such key; did you mean `drain`\?\n.*mtu: it is a key of/)
  const status = async () => schemas.status.parse((await control.get('/v1/status')).json)
  t.like(await status(), { configurationFile: path, lastReload: { applied: false } })
  t.regex((await status()).problems.join(), /the last reload failed, and changed nothing: .*drai/)

  // The file decides again about everything that it has, and about nothing that was made.
  write('drain = 2', 'rules = ["deny 0.0.0.0/0"]')
  await control.ask('PUT', '/v1/log', { level: 'debug' })
  await control.ask('POST', '/v1/interfaces/rel0/prefixes', { prefix: '3fff:e2::/96' })
  await control.ask('POST', '/v1/interfaces', { name: 'rel1', prefixes: ['3fff:e3::/96'] })
  const { changes } = schemas.reloaded.parse((await reload()).json)
  t.deepEqual(changes, ['rel0 captures 3fff:e2::/96 no longer', 'the log is info, text'])
  t.deepEqual(
    (await status()).interfaces.map(({ name, prefixes }) => [name, prefixes]),
    [
      ['rel0', ['3fff:e1::/96']],
      ['rel1', ['3fff:e3::/96']],
    ],
  )
  t.is((await faithd.stop()).code, 0)
})

test('a reload without a file reads access lists again, and without those is refused', async (t) => {
  const list = join(lab.directory, 'reload.conf')
  writeFileSync(list, '::/0 permit 198.51.100.0/24\n')
  const { control } = await startControlled(lab, ['-f', list])
  writeFileSync(list, '::/0 permit 198.51.100.0/24\n::/0 permit 192.0.2.0/24\n')
  const answer = schemas.reloaded.parse((await control.ask('POST', '/v1/reload')).json)
  t.deepEqual(answer.changes, [`${list}: 2 rules in force`])
  writeFileSync(list, '::/0 allow 198.51.100.0/24\n')
  const refused = await control.ask('POST', '/v1/reload')
  t.is(refused.status, 422)
  t.regex(schemas.problem.parse(refused.json).detail, /reload\.conf:1: expected/)

  const { control: none } = await startControlled(lab, rules)
  t.is((await none.ask('POST', '/v1/reload')).status, 409)
})
