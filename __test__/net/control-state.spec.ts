/** The control socket tells the state of a running faithd, and changes it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import * as schemas from '../../cli/control/schemas.js'
import { addresses, connect, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { type Control, startControlled } from '../fixtures/control.js'
import { permitted } from '../fixtures/faithd.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

const get = {
  status: async (control: Control) => schemas.status.parse((await control.get('/v1/status')).json),
  interfaces: async (control: Control) =>
    schemas.interfaces.parse((await control.get('/v1/interfaces')).json).interfaces,
}

/** Waits until a problem of the status matches. */
async function problem(control: Control, pattern: RegExp): Promise<string> {
  let problems: string[] = []
  return await waitFor(
    () => `${pattern} among ${JSON.stringify(problems)}`,
    async () => {
      ;({ problems } = await get.status(control))
      return problems.find((one) => pattern.test(one))
    },
  )
}

/** Waits until no problem of the status matches. */
async function noProblem(control: Control, pattern: RegExp): Promise<void> {
  await waitFor(`no ${pattern}`, async () => {
    const { problems } = await get.status(control)
    return !problems.some((one) => pattern.test(one))
  })
}

test('the status has the process, the interfaces and their relays, and nothing that is wrong', async (t) => {
  const { faithd, control } = await startControlled(lab)
  await connect(lab.client, { address: faithd.address(), port: 7 })
  await faithd.sessionTo(7)
  const status = await get.status(control)
  t.like(status, {
    pid: faithd.pid,
    keepfaith: true,
    forwarding: true,
    draining: false,
    problems: [],
  })
  t.true(status.descriptors.open > 10 && status.descriptors.limit >= status.descriptors.open)
  const [faith] = status.interfaces
  t.like(faith, { name: faithd.name, configured: true, mtu: 65_535, steering: faithd.steering })
  t.like(faith?.relays[0], { ports: 'all', retired: false, rules: 1, attempts: 0 })
  t.is(faith?.relays[0]?.sessions.begun, 1)
  t.deepEqual((await get.interfaces(control))[0]?.prefixes, faith?.prefixes)
})

test('the status tells of keepfaith 0, which the socket turns off and on', async (t) => {
  const { faithd, control } = await startControlled(lab)
  t.deepEqual((await control.ask('PUT', '/v1/keepfaith', { on: false })).json, { on: false })
  t.deepEqual((await control.get('/v1/keepfaith')).json, { on: false })
  t.false((await get.status(control)).keepfaith)
  await problem(control, /^keepfaith is 0/)
  const dialled = connect(lab.client, { address: faithd.address(), port: 7, timeout: 15_000 })
  await waitFor('the drop of a SYN', async () => {
    const { drops } = schemas.drops.parse((await control.get('/v1/drops')).json)
    return drops.some(({ reason, packets }) => reason === 'keepfaith' && packets > 0)
  })
  await control.ask('PUT', '/v1/keepfaith', { on: true })
  t.true((await dialled).connected)
  await noProblem(control, /keepfaith/)
})

test('each reason of drops is counted, with its meaning', async (t) => {
  const { faithd, control } = await startControlled(lab, ['--protocols', 'tcp'])
  await lab.client.run('ping', ['-c', '1', '-W', '1', faithd.address()])
  const { drops } = await waitFor('the drop', async () => {
    const told = schemas.drops.parse((await control.get('/v1/drops')).json)
    const isThere = told.drops.some(
      ({ reason, packets }) => reason === 'unsupported' && packets > 0,
    )
    return isThere ? told : undefined
  })
  t.is(new Set(drops.map(({ reason }) => reason)).size, 12)
  t.true(drops.every(({ meaning }) => /^[A-Zk].*\.$/.test(meaning)))
})

test('the status and the log tell when forwarding goes off, once, and when it is on again', async (t) => {
  await using one = await createLab()
  const { faithd, control } = await startControlled(one)
  const sysctl = async (value: number) =>
    await one.router.run('sysctl', ['-qw', `net.ipv6.conf.all.forwarding=${value}`])
  await sysctl(0)
  t.false((await get.status(control)).forwarding)
  await problem(control, /^IPv6 forwarding is off.*sysctl/)
  const warned = () => faithd.log.filter(({ msg }) => msg.startsWith('IPv6 forwarding is off'))
  await waitFor('the warning', () => warned().length > 0)
  await sysctl(1)
  await waitFor('the end of it', () =>
    faithd.log.some(({ msg }) => msg === 'IPv6 forwarding is on again'),
  )
  t.is(warned().length, 1)
  await noProblem(control, /forwarding/)
})

test('the status tells of a list that permits nothing, a lost source and a full relay', async (t) => {
  await using one = await createLab()
  await one.server.echo({ port: 7 })
  await one.router.run('ip', ['address', 'add', '198.51.100.99/32', 'dev', 'lo'])
  const args = [...permitted, '--max-sessions', '1', '--source', '198.51.100.99']
  const { faithd, control } = await startControlled(one, args)
  await one.router.run('ip', ['address', 'delete', '198.51.100.99/32', 'dev', 'lo'])
  t.regex(await problem(control, /source/), /ports all: the source 198\.51\.100\.99 is no address/)
  const { control: closed } = await startControlled(one, ['--deny', '0.0.0.0/0'])
  await problem(closed, /no rule permits anything/)

  const { faithd: full, control: told } = await startControlled(one, [
    ...permitted,
    '--max-sessions',
    '1',
  ])
  const client = one.client.spawn('nc', ['-6', full.address(), '7'])
  await problem(told, /the limit of 1 sessions is reached/)
  await client.stop('SIGKILL')
  await noProblem(told, /limit/)
  t.true(faithd.process.running)
})

test('with --no-routes the status tells of a prefix that no route leads to the interface', async (t) => {
  const { faithd, control } = await startControlled(lab, [...permitted, '--no-routes'])
  const prefix = faithd.address('0.0.0.0').replace('0.0.0.0', '/96')
  const told = await problem(control, /no route leads/)
  t.true(told.includes(`${prefix} to ${faithd.name}`), told)
  await lab.router.run('ip', ['-6', 'route', 'add', prefix, 'dev', faithd.name])
  await noProblem(control, /no route/)
})

test('the log’s level is changed, and session lines come and go with it', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const dial = async () => await connect(lab.client, { address: faithd.address(), port: 7 })
  t.deepEqual((await control.get('/v1/log')).json, { level: 'info', format: 'json' })
  t.deepEqual((await control.ask('PUT', '/v1/log', { level: 'warn' })).json, {
    level: 'warn',
    format: 'json',
  })
  await dial()
  await waitFor('the end of the session', async () => {
    const [faith] = await get.interfaces(control)
    return faith?.relays[0]?.sessions.begun === 1 && faith.relays[0].sessions.active === 0
  })
  await control.ask('PUT', '/v1/log', { level: 'info' })
  await dial()
  await faithd.sessionTo(7)
  t.is(faithd.sessions.length, 1)
})

test('interfaces are made over the socket, capture, and live until they are deleted', async (t) => {
  const { control } = await startControlled(lab)
  const asked = { name: 'made0', prefixes: ['3fff:d1::/96'], ports: '7' }
  const made = await control.ask('POST', '/v1/interfaces', asked)
  t.is(made.status, 201)
  t.like(schemas.faithInterface.parse(made.json), { name: 'made0', configured: false })
  const dial = async (prefix: string) =>
    (await connect(lab.client, { address: prefix + addresses.server, port: 7 })).code
  // Without a rule, the documentation address of the server is denied.
  t.is(await dial('3fff:d1::'), 'EACCES')
  t.is((await control.ask('POST', '/v1/interfaces', asked)).status, 409)

  const prefixes = '/v1/interfaces/made0/prefixes'
  t.is((await control.ask('POST', prefixes, { prefix: '3fff:d2::/96' })).status, 201)
  t.is(await dial('3fff:d2::'), 'EACCES')
  for (const path of ['3fff:d2::/96', '3fff:d1::%2F96']) {
    t.is((await control.ask('DELETE', `${prefixes}/${path}`)).status, 204)
    t.is((await control.ask('DELETE', `${prefixes}/${path}`)).status, 404)
  }
  t.is(await dial('3fff:d2::'), 'ENETUNREACH')

  t.is((await control.ask('DELETE', '/v1/interfaces/made0')).status, 204)
  t.is((await control.ask('DELETE', '/v1/interfaces/made0')).status, 404)
  t.not((await lab.router.run('ip', ['link', 'show', 'made0'])).code, 0)
})

test('an interface of the configuration is not deleted over the socket', async (t) => {
  const { faithd, control } = await startControlled(lab)
  t.is((await control.ask('DELETE', `/v1/interfaces/${faithd.name}`)).status, 409)
  t.is((await lab.router.run('ip', ['link', 'show', faithd.name])).code, 0)
})

test('a made interface that is lost does not end faithd', async (t) => {
  const { control } = await startControlled(lab)
  await control.ask('POST', '/v1/interfaces', { name: 'lost0', prefixes: ['3fff:d3::/96'] })
  await lab.router.run('ip', ['link', 'delete', 'lost0'])
  await waitFor('it to go', async () => (await get.interfaces(control)).length === 1)
  t.is((await control.get('/v1/status')).status, 200)
})

test('access lists are shown with files and lines, and tested', async (t) => {
  const file = join(lab.directory, 'rules.conf')
  writeFileSync(
    file,
    `# a comment\n\n::/0  deny 198.51.100.0/24 port 25\n::/0 permit 198.51.100.0/24\n`,
  )
  const args = ['--permit', '198.51.100.7', '-f', file]
  const { faithd, control } = await startControlled(lab, args)
  const { accessLists } = schemas.accessLists.parse((await control.get('/v1/access-lists')).json)
  t.deepEqual(accessLists[0]?.rules, [
    { text: '::/0 permit 198.51.100.7/32', line: 1 },
    { text: '::/0 deny 198.51.100.0/24 port 25', file, line: 3 },
    { text: '::/0 permit 198.51.100.0/24', file, line: 4 },
  ])
  const ask = async (destination: string, port: number) => {
    const query = `client=2001:db8::1&destination=${destination}&port=${port}`
    const answer = await control.get(`/v1/access-lists/test?${query}`)
    return schemas.accessTests.parse(answer.json)
  }
  const [denied] = await ask(faithd.address(), 25)
  t.like(denied, { permitted: false, cause: 'denied-by-rule', rule: { file, line: 3 } })
  t.true(denied?.explanation.includes(`${file}:3`))
  t.like((await ask(faithd.address(), 80))[0], {
    permitted: true,
    rule: { file, line: 4 },
    server: { address: addresses.server, port: 80 },
  })
  t.like((await ask('198.51.100.7', 25))[0], { permitted: true, rule: { line: 1 } })
  t.deepEqual(await ask('2001:db8:9::1', 25), [])
})

test('a test of an access list is about one protocol', async (t) => {
  const file = join(lab.directory, 'protocols.conf')
  writeFileSync(file, '::/0 permit 198.51.100.0/24 udp port 53\n::/0 permit 198.51.100.0/24 icmp\n')
  const args = ['-f', file, '--protocols', 'tcp,udp,icmp', '53']
  const { faithd, control } = await startControlled(lab, args)
  const ask = async (protocol: string, port: number) => {
    const query = `client=2001:db8::1&destination=${faithd.address()}&port=${port}&protocol=${protocol}`
    const answer = await control.get(`/v1/access-lists/test?${query}`)
    return schemas.accessTests.parse(answer.json).map((one) => one.permitted && one.rule?.line)
  }
  t.deepEqual(await ask('tcp', 53), [false])
  t.deepEqual(await ask('udp', 53), [1])
  t.deepEqual(await ask('udp', 54), [], 'a port that no relay has')
  t.deepEqual(await ask('icmp', 54), [2], 'pings have no port')
})

test('without rules a test says that a default decides', async (t) => {
  const { control } = await startControlled(lab, [])
  const query = 'client=2001:db8::1&port=80&destination='
  const ask = async (destination: string) =>
    schemas.accessTests.parse(
      (await control.get(`/v1/access-lists/test?${query}${destination}`)).json,
    )[0]
  t.like(await ask('8.8.8.8'), { permitted: true })
  const denied = await ask('10.0.0.1')
  t.like(denied, { permitted: false, cause: 'special-purpose' })
  t.is(denied?.rule, undefined)
})

test('the metrics are those of Prometheus, with the connections of the socket', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const { type, text } = await control.get('/metrics')
  t.regex(type, /^text\/plain; version=0\.0\.4/)
  t.regex(text, new RegExp(`^faithd_sessions\\{interface="${faithd.name}"\\} 0$`, 'm'))
  t.regex(text, /^faithd_control_connections 1$/m)
})
