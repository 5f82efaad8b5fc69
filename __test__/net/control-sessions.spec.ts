/** Sessions and clients over the control socket: listed, filtered, sorted, shown and ended. */
import test from 'ava'

import * as schemas from '../../cli/control/schemas.js'
import { addresses, waitFor } from '../../lab/index.js'
import { type Control, startControlled } from '../fixtures/control.js'
import { type Faithd, permitted } from '../fixtures/faithd.js'
import type { End } from '../fixtures/sockets.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const { lab, client, server } = await socketsLab()

let ports = 8100

interface Going {
  port: number
  near: End
  far: End
}

/** A session on which both ends are at hand, and which is listed. The client has sent a dot. */
async function session(faithd: Faithd): Promise<Going> {
  ports += 1
  const port = ports
  const listener = await server.listen(port)
  const near = await client.connect(faithd.address(), port)
  const far = await listener.accept()
  await near.reaches(far)
  return { port, near, far }
}

async function list(control: Control, query = '') {
  const answer = await control.get(`/v1/sessions${query}`)
  if (answer.status !== 200) throw new Error(answer.text)
  return schemas.sessions.parse(answer.json)
}

/** The dialled ports of the sessions that a query gives, in their order. */
async function portsOf(control: Control, query: string): Promise<number[]> {
  const { sessions } = await list(control, query)
  return sessions.map(({ destination }) => destination.port)
}

test('sessions are listed with their ends, bytes, age and state', async (t) => {
  const { faithd, control } = await startControlled(lab)
  t.deepEqual(await list(control), { sessions: [], matching: 0, active: 0 })
  const { port, near, far } = await session(faithd)
  near.says('up')
  await far.hears('.up')
  far.says('down')
  await near.hears('down')
  const told = await waitFor('its bytes', async () => {
    const { sessions } = await list(control)
    return sessions.find(({ bytesUp, bytesDown }) => bytesUp === 3 && bytesDown === 4)
  })
  t.like(told, {
    interface: faithd.name,
    client: { address: addresses.client, port: await near.port() },
    server: { address: addresses.server, port },
    state: 'open',
  })
  t.true(told.ageMs >= told.idleMs)
  near.ends()
  await waitFor(
    'the half-closed state',
    async () => (await portsOf(control, '?state=client-closed')).length === 1,
  )
  t.deepEqual(await portsOf(control, '?state=open'), [])
})

test('a filter lets through the sessions that match all of it', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const one = await session(faithd)
  const other = await session(faithd)
  const both = [one.port, other.port]
  for (const [query, expected] of [
    [`?port=${one.port}`, [one.port]],
    [`?client=${addresses.client}`, both],
    ['?client=2001:db8:ffff::/48', []],
    [`?client=::/0&port=${other.port}`, [other.port]],
    [`?destination=${addresses.server}`, both],
    ['?destination=198.51.100.0/24', both],
    ['?destination=192.0.2.0/24', []],
    [`?destination=${faithd.address()}`, both],
    [`?destination=${faithd.address('0.0.0.0')}/96`, both],
    [`?interface=${faithd.name}`, both],
    ['?interface=other0', []],
    ['?protocol=tcp', both],
    ['?protocol=udp', []],
    ['?olderThan=3600', []],
    ['?youngerThan=3600', both],
    ['?idleFor=3600', []],
    ['?idleFor=0', both],
    ['?tag=none', []],
  ] as const) {
    t.deepEqual((await portsOf(control, query)).toSorted(), [...expected], query)
  }
  const limited = await list(control, '?limit=1')
  t.is(limited.sessions.length, 1)
  t.like(limited, { matching: 2, active: 2 })
  t.like(await list(control, '?limit=0'), { sessions: [], matching: 2 })
  t.like(await list(control, `?port=${one.port}`), { matching: 1, active: 2 })
})

test('sessions of datagrams are listed, shown without connections, and ended', async (t) => {
  const { faithd, control } = await startControlled(lab, [...permitted, '--protocols', 'tcp,udp'])
  const tcp = await session(faithd)
  const asking = 'import socket,sys; s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); '
  const code = `${asking}s.sendto(b"hello", (sys.argv[1], 9))`
  t.is((await lab.client.run('python3', ['-c', code, faithd.address()])).code, 0)
  const one = await waitFor('the session', async () => {
    return (await list(control, '?protocol=udp')).sessions.find(({ bytesUp }) => bytesUp === 5)
  })
  t.like(one, { protocol: 'udp', destination: { port: 9 } })
  t.deepEqual(await portsOf(control, '?protocol=tcp'), [tcp.port])
  const shown = await control.get(`/v1/sessions/${one.id}`)
  const detail = schemas.sessionDetail.parse(shown.json)
  t.like(detail, { id: one.id, protocol: 'udp', legs: undefined, slow: undefined })
  t.deepEqual((await control.ask('DELETE', '/v1/sessions?protocol=udp')).json, { aborted: 1 })
  await waitFor('its end', async () => (await list(control, '?protocol=udp')).matching === 0)
  t.deepEqual(await portsOf(control, ''), [tcp.port])
  t.is((await control.get(`/v1/sessions/${one.id}`)).status, 404)
})

test('sessions are sorted by age, idle time, bytes and addresses', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const [first, second] = [await session(faithd), await session(faithd)]
  const inOrder = [first.port, second.port]
  second.far.says('ever so many bytes')
  await second.near.hears('ever so many bytes')
  first.near.says('few')
  await first.far.hears('.few')
  for (const [query, expected] of [
    ['', inOrder],
    ['?sort=age', inOrder],
    ['?sort=age&order=asc', inOrder.toReversed()],
    ['?sort=down', inOrder.toReversed()],
    ['?sort=bytes', inOrder.toReversed()],
    ['?sort=up', inOrder],
    ['?sort=up&order=asc', inOrder.toReversed()],
    ['?sort=idle', inOrder.toReversed()],
    ['?sort=client', inOrder],
    ['?sort=destination&order=desc', inOrder],
  ] as const) {
    await waitFor(`the order of ${query}`, async () => {
      const told = await portsOf(control, query)
      return told.join() === expected.join()
    })
  }
  t.pass()
})

test('a session is shown with both connections, the rule that permits it, and the slow side', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const { far, near } = await session(faithd)
  const [{ id } = { id: '' }] = (await list(control)).sessions
  const detail = async () =>
    schemas.sessionDetail.parse((await control.get(`/v1/sessions/${id}`)).json)
  const told = await detail()
  t.like(told, {
    id,
    rule: { text: '::/0 permit 198.51.100.0/24', line: 1 },
    relay: { ports: 'all' },
    slow: 'neither',
  })
  t.is(told.legs?.client.state, 'ESTABLISHED')
  t.is(told.legs?.server.state, 'ESTABLISHED')
  near.pauses()
  far.floods()
  await far.isBlocked()
  await waitFor(
    'the client to be named as the slow side',
    async () => (await detail()).slow === 'client',
  )
  near.resets()
  await waitFor('its end', async () => (await control.get(`/v1/sessions/${id}`)).status === 404)
})

test('sessions are ended by id and by filter, and the log tells who asked', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const [one, other, third] = [await session(faithd), await session(faithd), await session(faithd)]
  const { sessions } = await list(control, `?port=${one.port}`)
  const path = `/v1/sessions/${sessions[0]?.id}`
  t.deepEqual((await control.ask('DELETE', path)).json, { aborted: 1 })
  await waitFor('the reset', () => one.near.history.includes('ECONNRESET'))
  await waitFor('the end', async () => (await control.ask('DELETE', path)).status === 404)

  const answer = await control.ask('DELETE', `/v1/sessions?port=${other.port}&client=::/0`)
  t.deepEqual(answer.json, { aborted: 1 })
  await waitFor('the reset', () => other.near.history.includes('ECONNRESET'))
  const { reason } = await faithd.session(({ destination }) => destination.port === other.port)
  t.is(reason, 'aborted')
  t.true(faithd.log.some(({ msg }) => msg === `control: DELETE ${path}`))

  third.near.says('still here')
  await third.far.hears('.still here')
  for (const [status, ...ids] of [
    [404, '1-999999', '999-1'],
    [422, 'x', '1-1-1', '-1', '1'.repeat(40)],
  ] as const) {
    for (const id of ids) {
      t.is((await control.get(`/v1/sessions/${id}`)).status, status, id)
      t.is((await control.ask('DELETE', `/v1/sessions/${id}`)).status, status, id)
    }
  }
})

test('clients are summed up by network', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const [one, other] = [await session(faithd), await session(faithd)]
  one.near.says('up')
  await one.far.hears('.up')
  other.far.says('down')
  await other.near.hears('down')
  const look = async (query = '') =>
    schemas.clients.parse((await control.get(`/v1/clients${query}`)).json)
  const { clients } = await waitFor('the sums', async () => {
    const told = await look()
    return told.clients[0]?.bytesUp === 4 && told.clients[0].bytesDown === 4 ? told : undefined
  })
  t.is(clients.length, 1)
  t.is(clients[0]?.sessions, 2)
  t.regex(clients[0]?.network ?? '', /::\/64$/)
  t.is((await look('?prefixLength=128')).clients[0]?.network, `${addresses.client}/128`)
  t.is((await look('?prefixLength=0')).clients[0]?.network, '::/0')
  t.like(await look('?limit=0&sort=client'), { clients: [], matching: 1, active: 2 })
})
