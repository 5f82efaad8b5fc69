/** Requests over the control socket that are wrong or hostile. Each gets a problem, and none stops the relay. */
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { problem } from '../../cli/control/schemas.js'
import { churn, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { type Answer, Control, startControlled } from '../fixtures/control.js'
import type { Faithd } from '../fixtures/faithd.js'

let lab: Lab
let faithd: Faithd
let control: Control

test.before(async () => {
  lab = await createLab()
  ;({ faithd, control } = await startControlled(lab))
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

/** The sentence of a problem, which has the form that every problem has. */
function detailOf({ status, type, json, text }: Answer): string {
  if (type !== 'application/problem+json') throw new Error(`${type} ${text}`)
  const told = problem.parse(json)
  if (told.status !== status) throw new Error(`${status} is told as ${told.status}`)
  if (/\bat .*:\d+:\d+/.test(text)) throw new Error(`a stack: ${text}`)
  return told.detail
}

test('an unknown path is told with the paths that there are', async (t) => {
  for (const path of [
    '/',
    '/v1',
    '/v1/session',
    '//v1/status',
    '/v1/status/',
    '/%ff',
    '/v1/a/b/c',
  ]) {
    const answer = await control.get(path)
    t.is(answer.status, 404, path)
    t.regex(detailOf(answer), /there are .*\/v1\/status, .*\/v1\/sessions\/\{id\}/)
  }
})

test('a wrong method is told with those that the path has', async (t) => {
  for (const [method, path, allow] of [
    ['POST', '/v1/status', 'GET'],
    ['DELETE', '/v1/keepfaith', 'GET, PUT'],
    ['GET', '/v1/reload', 'POST'],
    ['HEAD', '/v1/status', 'GET'],
    ['OPTIONS', '/v1/sessions', 'GET, DELETE'],
    ['TRACE', '/v1/log', 'GET, PUT'],
    ['NOTIFY', '/v1/interfaces', 'GET, POST'],
  ] as const) {
    const answer = await control.ask(method, path, undefined, method === 'HEAD' ? ['-I'] : [])
    t.is(answer.status, 405, method)
    t.is(answer.allow, allow)
    if (method !== 'HEAD') t.true(detailOf(answer).includes(`has ${allow}, not ${method}`))
  }
})

for (const [query, says] of [
  ['/v1/sessions?limit=many', "limit: 'many' is not a whole number from 0 to 100000"],
  ['/v1/sessions?limit=100001', 'limit: 100001 is not a whole number from 0 to 100000'],
  ['/v1/sessions?limit=', "limit: '' is not a whole number from 0 to 100000"],
  ['/v1/sessions?limit=1e3', "limit: '1e3' is not a whole number from 0 to 100000"],
  ['/v1/sessions?limit=1&limit=2', 'limit: it is given twice, and has one value'],
  ['/v1/sessions?client=198.51.100.1', 'is not an IPv6 address or prefix such as 2001:db8:1::/48'],
  ['/v1/sessions?client=2001:db8::/129', 'is not an IPv6 address or prefix'],
  ['/v1/sessions?client=fe80::1%25lan0', 'is not an IPv6 address or prefix'],
  ['/v1/sessions?destination=example.org', 'is not an IP address or prefix such as'],
  ['/v1/sessions?port=0', 'port: 0 is not a whole number from 1 to 65535'],
  ['/v1/sessions?state=opened', 'is not one of open, client-closed, server-closed, ending'],
  ['/v1/sessions?idleFor=-1', 'idleFor: -1 is not a number of seconds'],
  ['/v1/sessions?sort=size', 'is not one of age, idle, bytes, up, down, client, destination'],
  ['/v1/sessions?older=3', 'did you mean olderThan?'],
  ['/v1/sessions?__proto__=3', 'there is no parameter "__proto__"'],
  ['/v1/status?verbose=1', 'there is no parameter "verbose"; this path has none'],
  ['/v1/clients?prefixLength=129', 'prefixLength: 129 is not a whole number from 0 to 128'],
  ['/v1/access-lists/test?client=2001:db8::1&port=80', 'destination: it is missing'],
  ['/v1/access-lists/test?client=2001:db8::/32&destination=::&port=80', 'is not an IPv6 address'],
] as const) {
  test(`${query} is refused by the name of the parameter`, async (t) => {
    const answer = await control.get(query)
    t.is(answer.status, 400)
    t.true(detailOf(answer).includes(says), detailOf(answer))
  })
}

test('the end of all sessions needs a filter', async (t) => {
  const answer = await control.ask('DELETE', '/v1/sessions')
  t.is(answer.status, 400)
  t.regex(detailOf(answer), /one parameter at least: interface, client, /)
})

for (const [method, path, body, status, says] of [
  ['PUT', '/v1/keepfaith', '{"on":', 400, /the body is no JSON/],
  ['PUT', '/v1/keepfaith', '', 400, /the body is no JSON/],
  ['PUT', '/v1/keepfaith', '{"on":1}', 422, /on: /],
  ['PUT', '/v1/keepfaith', '{"on":true,"off":false}', 422, /off/],
  ['PUT', '/v1/keepfaith', '[]', 422, /the body: /],
  ['PUT', '/v1/log', '{"level":"loud"}', 422, /level: .*"warn"/],
  ['POST', '/v1/interfaces', '{"name":"x"}', 422, /prefixes: /],
  ['POST', '/v1/interfaces', '{"name":"a/b","prefixes":["3fff:b1::/96"]}', 422, /not a legal/],
  ['POST', '/v1/interfaces', '{"name":"x","prefixes":["3fff:b1::1/96"]}', 422, /3fff:b1::1\/96/],
  [
    'POST',
    '/v1/interfaces',
    '{"name":"x","prefixes":["3fff:b1::/96"],"ports":"no-such"}',
    422,
    /ports: no TCP service is named 'no-such'/,
  ],
  ['POST', '/v1/interfaces', '{"name":"lan0","prefixes":["3fff:b1::/96"]}', 409, /lan0/],
  ['GET', '/v1/sessions/abc', '', 422, /"abc" is not the id of a session, such as 1-42/],
  ['DELETE', '/v1/sessions/1-', '', 422, /"1-" is not the id of a session/],
  ['GET', '/v1/sessions/1-999999', '', 404, /there is no session "1-999999"; it may have ended/],
  ['POST', '/v1/interfaces/none/prefixes', '{"prefix":"3fff:b1::/96"}', 404, /no interface "none"/],
] as const) {
  test(`${method} ${path} with ${body || 'no body'} is refused`, async (t) => {
    const answer = await control.ask(method, path, body)
    t.is(answer.status, status)
    t.regex(detailOf(answer), says)
  })
}

test('a body that is too large is refused, before it is read', async (t) => {
  const large = JSON.stringify({ on: 'x'.repeat(1 << 20) })
  const answer = await control.ask('PUT', '/v1/keepfaith', large, ['-H', 'Expect:'])
  t.is(answer.status, 413)
  t.regex(detailOf(answer), /more than 65536 bytes/)
})

test('a head that is too large is refused', async (t) => {
  const answer = await control.ask('GET', '/v1/status', undefined, ['-H', `X: ${'x'.repeat(9000)}`])
  t.is(answer.status, 431)
  t.regex(detailOf(answer), /8192 bytes at most/)
})

/** Sends bytes over the socket, and gives all that comes back. */
async function sends(text: string): Promise<string> {
  const socket = connect(control.path)
  let heard = ''
  socket.setEncoding('utf8').on('data', (piece: string) => (heard += piece))
  socket.on('error', () => {})
  socket.write(text)
  await new Promise((resolve) => socket.on('close', resolve))
  return heard
}

test('bytes that are no HTTP get 400, and the connection ends', async (t) => {
  for (const text of ['hello\r\n\r\n', '\0\0\0\0\r\n', '\x16\x03\x01\x02\0']) {
    const heard = await sends(text)
    t.regex(heard, /^HTTP\/1\.1 400 Bad Request\r\nContent-Type: application\/problem\+json\r\n/)
    t.is(problem.parse(JSON.parse(heard.split('\r\n\r\n')[1] ?? '')).status, 400)
  }
})

test('a request that does not come to its end gets 408', async (t) => {
  const [head, body] = await Promise.all([
    sends('GET /v1/status HTTP/1.1\r\nHost: f\r\nX: '),
    sends('PUT /v1/log HTTP/1.1\r\nHost: f\r\nContent-Length: 10\r\n\r\n{'),
  ])
  t.regex(head, /^HTTP\/1\.1 408 /)
  t.regex(body, /^(HTTP\/1\.1 408 |$)/)
})

test('200 clients at once neither stop the relay nor take its memory', async (t) => {
  const { faithd: crowded, control: door } = await startControlled(lab)
  await door.get('/v1/status')
  const target = { address: crowded.address(), port: 7, count: 200 }
  await churn(lab.client, target)
  const before = crowded.memory
  const request = 'GET /v1/openapi.json HTTP/1.1\r\nHost: f\r\n\r\n'.repeat(100)
  const sockets: Socket[] = []
  for (let index = 0; index < 200; index += 1) {
    const socket = connect(door.path).on('error', () => {})
    // None of them reads. Those that are turned away are closed.
    socket.pause().write(index % 2 === 0 ? request : 'GET /v1/sta')
    sockets.push(socket)
  }
  await waitFor('connections to be turned away', () =>
    crowded.log.some(({ msg }) => msg.includes('more than 64 connections to the control socket')),
  )
  const { done } = await churn(lab.client, { ...target, count: 500 })
  t.is(done, 500)
  t.true(crowded.memory - before < 64 << 20, `${(crowded.memory - before) >> 20} MiB more`)
  for (const socket of sockets) socket.destroy()
  await waitFor('an answer', async () => (await door.get('/v1/status')).status === 200)
  t.is((await crowded.stop()).code, 0)
})

test('a request names the server as a proxy would have it', async (t) => {
  const target = ['--request-target', 'http://faithd/v1/keepfaith?']
  t.is((await control.ask('GET', '/v1/status', undefined, target)).text, '{"on":true}')
})

test('requests that change something are logged, and those that fail with their reason', async (t) => {
  await control.ask('PUT', '/v1/keepfaith', { on: true })
  await control.ask('PUT', '/v1/keepfaith', { on: 'yes' })
  const logged = (begin: string) => faithd.log.some(({ msg }) => msg.startsWith(begin))
  await waitFor('the lines', () =>
    ['{"on":true}', '{"on":"yes"}: refused: the body: on: '].every((end) =>
      logged(`control: PUT /v1/keepfaith ${end}`),
    ),
  )
  await control.ask('DELETE', '/v1/interfaces/%0a%1b[31mfake', 'a\n\u001B[31mb')
  t.false(faithd.log.some(({ msg }) => msg.includes('\n') || msg.includes('\u001B')))
})

test('a path in another folder is made there if the folder’s parent exists', async (t) => {
  const path = join(lab.directory, 'folder', 'faithd.sock')
  const process = await lab.router.faithd([
    '-k',
    '-i',
    'deep0',
    '-P',
    '3fff:b9::/96',
    '--control',
    path,
  ])
  t.is((await new Control(lab.router, path).get('/v1/status')).status, 200)
  await process.stop('SIGTERM')
})
