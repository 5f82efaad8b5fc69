/** Each command of faithctl, against a control socket whose bodies are those of the schemas. */
import * as schemas from '../cli/control/schemas.js'
import test from 'ava'
import type { ProblemError } from '../cli/ctl/daemon.js'
import { CommandLineError } from '../cli/ctl/parse.js'
import {
  client,
  ControlSocket,
  detail,
  faith,
  problem,
  relay,
  session,
  status,
} from './fixtures/fake-daemon.js'
import { faithctl } from './fixtures/faithctl.js'

const socket = await ControlSocket.open()
test.after.always(() => socket.close())

/** Gives the only request of a command. */
async function asks(...words: string[]) {
  const own = await ControlSocket.open()
  try {
    await faithctl(own, words)
    const [asked] = own.asked
    return asked
  } finally {
    own.close()
  }
}

/** Runs a command against a socket with other answers. */
async function withAnswers(answers: Parameters<typeof ControlSocket.open>[0], ...words: string[]) {
  const own = await ControlSocket.open(answers)
  try {
    return { ...(await faithctl(own, words)), asked: own.asked }
  } finally {
    own.close()
  }
}

test('status shows the daemon, its limits, its interfaces and their relays', async (t) => {
  const { text, warning } = await faithctl(socket, ['status'])
  for (const part of [
    /^faithd \d+\.\d+\.\d+, pid 123, up 3d04h$/m,
    /^keepfaith +1$/m,
    /^descriptors +120 of 1,048,576 \(0 %\)$/m,
    /^last reload +2026-11-29T20:00:00\.000Z, refused: faithd\.toml:3: unknown key$/m,
    /^faith0:$/m,
    /steering by sk_lookup, shortcut on, 2 workers, MTU 65535/,
    /^  dropped +9 \(8 no-listener, 1 malformed\)$/m,
    /^  source +192\.0\.2\.1: 2 sessions, 28,232 ports to a server, 5 of 55 blocks$/m,
    /^  source +192\.0\.2\.2: 1 session, 28,232 ports to a server$/m,
    /^    aborted +3 \(2 end-denied, 1 ended-on-request\)$/m,
    /^    sessions +2 of 1,000 active, 3 attempts under way, 20,000 begun$/m,
    /^    limits +1,000 sessions, 3 sessions of a client \(\/64\), 4,096 held SYNs,/m,
    /^    refused +5 \(5 denied-by-rule\)$/m,
  ]) {
    t.regex(text, part)
  }
  for (const line of text.split('\n')) t.true(line.length <= 80, line)
  t.notRegex(text, /problem/)
  t.is(warning, undefined)
})

test('status names problems first, and another version of the daemon on stderr', async (t) => {
  const troubled = {
    ...status,
    version: '9.9.9',
    keepfaith: false,
    forwarding: false,
    problems: ['keepfaith is 0, so nothing is captured; faithctl keepfaith 1 turns it on'],
  }
  const { text, warning } = await withAnswers(
    { 'GET /v1/status': () => ({ body: troubled }) },
    'status',
  )
  t.regex(text, /^faithd 9\.9\.9.*\nproblem: keepfaith is 0, /)
  t.regex(text, /^forwarding +off/m)
  t.regex(
    warning ?? '',
    /^this is faithctl \d+\.\d+\.\d+, and the daemon is faithd 9\.9\.9; restart/,
  )
})

test('status shows where the prefixes are advertised', async (t) => {
  const link = { source: 'fe80::64', sent: 12_345, failed: 0, solicitations: 1 }
  const advertisements = [
    { ...link, interface: 'lan0', state: 'advertising' },
    { ...link, interface: 'lan1', state: 'failing', reason: 'Network is unreachable', failed: 2 },
  ]
  const body = schemas.status.parse({ ...status, advertisements })
  const { text } = await withAnswers({ 'GET /v1/status': () => ({ body }) }, 'status')
  t.regex(
    text,
    /^PREF64:\n +lan0 +advertised from fe80::64, 12,345 sent, 0 failed, 1\s+solicitation$/m,
  )
  t.regex(
    text,
    /^ +lan1 +not advertised: failing, Network is unreachable, 12,345 sent, 2\s+failed/m,
  )
  for (const line of text.split('\n')) t.true(line.length <= 80, line)
})

test('status shows what the DNS server has answered', async (t) => {
  const counts = { queries: 5432, answered: 5400, unanswered: 30, loops: 0 }
  const dns64 = {
    addresses: ['[::]:53'],
    upstreams: ['192.0.2.53:53'],
    servers: [
      { ...counts, server: '192.0.2.53:53', condition: 'good' },
      { ...counts, server: '[::1]:53', loops: 6, condition: 'loop' },
      { ...counts, server: 'tls://192.0.2.54:853', condition: 'failing', trouble: 'is down' },
    ],
    udpQueries: 12_345,
    tcpQueries: 1,
    tlsQueries: 20,
    dropped: 2,
    rejected: 0,
    refused: 7,
    rateLimited: 3,
    overloaded: 0,
    synthesised: 9876,
    denied: 4321,
    unusable: 2,
    local: 4,
    cached: 8765,
    cacheEvictions: 1234,
    truncated: 0,
    upstreamQueries: 543,
    upstreamFailures: 1,
    loops: 6,
  }
  const body = schemas.status.parse({ ...status, dns64 })
  const { text } = await withAnswers({ 'GET /v1/status': () => ({ body }) }, 'status')
  t.regex(
    text,
    /^DNS64:\n +addresses +\[::\]:53\n +queries +12,345 over UDP, 1 over TCP, 20 over TLS$/m,
  )
  t.regex(text, /^ +answers +9,876 synthesised, 4 about ipv4only\.arpa, 8,765 out of the/m)
  t.regex(text, /^ +not given +4,321 that no access list permits, 2 that the prefix cannot have$/m)
  t.regex(text, /^ +cache +1,234 left early because it was full$/m)
  t.regex(text, /^ +refused +12 \(7 from strangers, 3 rate-limited, 2 dropped\)$/m)
  t.regex(
    text,
    /^ +upstreams +192\.0\.2\.53:53: 543 asked, 1 that no server answered, 6 in a loop$/m,
  )
  t.regex(
    text,
    /^ +upstream +192\.0\.2\.53:53: 5,432 asked, 5,400 answered, 30 without an answer$/m,
  )
  t.regex(text, /\[::1\]:53: 5,432 asked, .* 6 in a\s+loop, asks faithd back$/m)
  t.regex(text, /tls:\/\/192\.0\.2\.54:853: 5,432 asked, .* without an\s+answer, is down$/m)
  for (const line of text.split('\n')) t.true(line.length <= 80, line)
})

test('sessions lists them with units, and asks for the oldest first', async (t) => {
  const { text } = await faithctl(socket, ['sessions'], 200)
  t.regex(text, /^ID +CLIENT +SERVER +STATE +AGE +IDLE +UP +DOWN +DESTINATION\n/)
  t.regex(
    text,
    /^1-42 +\[2001:db8:1::7\]:50000 +198\.51\.100\.7:443 +open +3m12s +0\.4s +1\.23 MB +98\.8 GB /m,
  )
  t.regex(text, /^2 sessions, 1 of them chosen$/m)
  t.deepEqual((await asks('sessions'))?.query, { sort: 'age', order: 'desc', limit: '100' })
})

test('sessions shows the names that clients asked for', async (t) => {
  const name = `${'a'.repeat(60)}.example.net`
  const body = { sessions: [{ ...session, name }, session], matching: 2, active: 2 }
  const answers = { 'GET /v1/sessions': () => ({ body }) }
  const { text } = await withAnswers(answers, 'sessions')
  t.regex(text, /^ID .* DOWN +NAME/)
  for (const line of text.split('\n')) t.true(line.length <= 80, line)
})

test('sessions fits 80 columns', async (t) => {
  const long = {
    ...session,
    client: { address: '2001:db8:1111:2222:3333:4444:5555:6666', port: 50_000 },
  }
  const { text } = await withAnswers(
    { 'GET /v1/sessions': () => ({ body: { sessions: [long], matching: 1, active: 1 } }) },
    'sessions',
  )
  for (const line of text.split('\n')) t.true(line.length <= 80, line)
  t.regex(text, /\[2001:.*….*\]:50000/)
})

test('the options of sessions become the filter of the query', async (t) => {
  const line =
    'sessions -i faith0 -c 2001:db8::/32 -d 198.51.100.0/24 -p 443 --state open --older 1h30m ' +
    '--younger 2d --idle 10m --protocol udp --tag web --sort client --reverse --limit 5'
  const asked = await asks(...line.split(' '))
  t.deepEqual(asked?.query, {
    interface: 'faith0',
    client: '2001:db8::/32',
    destination: '198.51.100.0/24',
    port: '443',
    state: 'open',
    olderThan: '5400',
    youngerThan: '172800',
    idleFor: '600',
    protocol: 'udp',
    tag: 'web',
    sort: 'client',
    order: 'desc',
    limit: '5',
  })
})

test('--json is the answer of the daemon as it came', async (t) => {
  t.deepEqual(JSON.parse((await faithctl(socket, ['status', '--json'])).json), status)
  t.deepEqual(JSON.parse((await faithctl(socket, ['session', '1-42', '--json'])).json), detail)
  const { json } = await faithctl(socket, ['clients', '--json'])
  t.deepEqual(JSON.parse(json), { clients: [client], matching: 1, active: 2 })
})

test('session shows both connections side by side, the slow side, the rule, name and tag', async (t) => {
  const { text } = await faithctl(socket, ['session', '1-42'])
  for (const part of [
    /^session 1-42: open, age 3m12s, idle 0\.4s$/m,
    /^The client is slow: its program reads too slowly/m,
    /^rule +2001:db8:1::\/48 permit 198\.51\.100\.0\/24 port 443$/m,
    /^name +www\.example\.net$/m,
    /^tag +web$/m,
    /^ +CLIENT +SERVER$/m,
    /^round trip +0\.42 ms +80\.1 ms$/m,
    /^held up by its window +8s \(83 %\) +0\.0s \(0 %\)$/m,
  ]) {
    t.regex(text, part)
  }
})

test('clients have rates from two looks', async (t) => {
  let looks = 0
  const { text, asked } = await withAnswers(
    {
      'GET /v1/clients': () => {
        looks += 1
        const bytesDown = client.bytesDown + looks * 50_000_000
        return { body: { clients: [{ ...client, bytesDown }], matching: 1, active: 2 } }
      },
    },
    'clients',
    '-l',
    '56',
  )
  t.is(asked.length, 2)
  t.deepEqual(asked[0]?.query, { prefixLength: '56', sort: 'idle', order: 'asc', limit: '1000' })
  t.regex(text, /^2001:db8:1::\/64 +2 +0 B +\d+(\.\d+)? MB +1\.00 MB +105 MB +0\.4s +3m12s$/m)
  t.regex(text, /^1 client, 2 sessions$/m)
})

test('drops are sorted by packets, without reasons that did not occur', async (t) => {
  const { text } = await faithctl(socket, ['drops'])
  t.regex(text, /^faith0 +no-listener +8 +No relay has the port\.\nfaith0 +malformed +1 /m)
  t.notRegex(text, /hop-limit/)
})

test('abort ends one session without a question', async (t) => {
  const { text, asked } = await withAnswers({}, 'abort', '1-42')
  t.is(text, 'ended 1 session')
  t.deepEqual(
    asked.map(({ method, path }) => `${method} ${path}`),
    ['DELETE /v1/sessions/1-42'],
  )
})

test('abort of several sessions needs --yes where there is no terminal', async (t) => {
  await t.throwsAsync(faithctl(socket, ['abort', '1-42', '1-43']), { message: /give --yes/ })
  const many = {
    'GET /v1/sessions': () => ({ body: { sessions: [session], matching: 7, active: 9 } }),
  }
  await t.throwsAsync(withAnswers(many, 'abort', '--client', '2001:db8:1::7'), {
    instanceOf: CommandLineError,
    message: /^End 7 sessions\? .*--yes/,
  })
  const { asked } = await withAnswers(many, 'abort', '--client', '2001:db8:1::7', '--yes')
  t.like(asked.at(-1), {
    method: 'DELETE',
    path: '/v1/sessions',
    query: { client: '2001:db8:1::7' },
  })
})

test('abort names the sessions that it did not find, and ends the others', async (t) => {
  const { text, warning, exitCode } = await withAnswers({}, 'abort', '-y', '1-42', '1-43')
  t.is(text, 'ended 1 session')
  t.is(warning, 'no session 1-43')
  t.is(exitCode, 69)
})

test('abort takes IDs or a filter', async (t) => {
  await t.throwsAsync(faithctl(socket, ['abort']), { message: /sessions missing/ })
  await t.throwsAsync(faithctl(socket, ['abort', '1-42', '-p', '80']), { message: /not both/ })
})

test('keepfaith shows the switch and sets it', async (t) => {
  t.regex((await faithctl(socket, ['keepfaith'])).text, /^keepfaith is 1/)
  const { text, asked } = await withAnswers({}, 'keepfaith', '0')
  t.regex(text, /^keepfaith is 0/)
  t.like(asked[0], { method: 'PUT', path: '/v1/keepfaith', body: { on: false } })
  await t.throwsAsync(faithctl(socket, ['keepfaith', 'on']), { message: /not one of 0, 1/ })
})

test('interface lists, makes and removes', async (t) => {
  t.regex(
    (await faithctl(socket, ['interface', 'list'])).text,
    /^faith0 +64:ff9b::\/96 +all +2 +sk_lookup +on +configuration$/m,
  )
  const prefixes = ['2001:db8:64::/96', '2001:db8:65::/96']
  const line = `interface create faith1 -P ${prefixes.join(' -P ')} --ports ssh,80`
  const { asked } = await withAnswers({}, ...line.split(' '))
  t.like(asked[0], { method: 'POST', body: { name: 'faith1', prefixes, ports: 'ssh,80' } })
  await t.throwsAsync(faithctl(socket, ['interface', 'create', 'faith1']), { message: /--prefix/ })
  t.is((await faithctl(socket, ['interface', 'destroy', 'faith1'])).text, 'faith1 is removed')
})

test('an interface with sessions is removed after a question', async (t) => {
  const made = { body: { interfaces: [{ ...faith, configured: false }] } }
  await t.throwsAsync(
    withAnswers({ 'GET /v1/interfaces': () => made }, 'interface', 'destroy', 'faith0'),
    { message: /^Remove faith0, and end 2 sessions\? .*--yes/ },
  )
})

const refuse = (code: number, sentence: string) => () => ({
  status: code,
  body: problem(code, sentence),
})

test('no question is about an interface that cannot be removed', async (t) => {
  const refusals = {
    'DELETE /v1/interfaces/none': refuse(404, 'there is no interface "none"'),
    'DELETE /v1/interfaces/faith0': refuse(409, 'faith0 is of the configuration of faithd'),
  }
  for (const [name, exitCode, message] of [
    ['none', 69, /there is no interface "none"/],
    ['faith0', 78, /faith0 is of the configuration/],
  ] as const) {
    const error = await t.throwsAsync<ProblemError>(
      withAnswers(refusals, 'interface', 'destroy', name),
      { message },
    )
    t.is(error.exitCode, exitCode)
  }
})

const PREFIX = '/v1/interfaces/faith0/prefixes/64:ff9b::/96'

test('prefix lists, adds and deletes, on the only interface', async (t) => {
  t.regex((await faithctl(socket, ['prefix', 'list'])).text, /^faith0 +64:ff9b::\/96$/m)
  const added = await withAnswers({}, 'prefix', 'add', '2001:db8:64::/96')
  t.is(added.text, 'faith0 captures 2001:db8:64::/96')
  t.deepEqual(added.asked.at(-1)?.body, { prefix: '2001:db8:64::/96' })
  const deleted = await withAnswers({}, 'prefix', 'delete', '64:ff9b::/96')
  t.is(deleted.asked.find(({ method }) => method === 'DELETE')?.path, PREFIX)
  t.is(deleted.warning, undefined)
})

test('the end of the last prefix is told', async (t) => {
  let prefixes = faith.prefixes
  const answers = {
    'GET /v1/interfaces': () => ({ body: { interfaces: [{ ...faith, prefixes }] } }),
    [`DELETE ${PREFIX}`]: () => {
      prefixes = []
      return { status: 204 }
    },
  }
  const { text, warning } = await withAnswers(answers, 'prefix', 'delete', '64:ff9b::/96')
  t.is(text, 'faith0 no longer captures 64:ff9b::/96')
  t.is(warning, 'it was the last prefix of faith0, which captures nothing now')
})

test('of several interfaces a prefix needs the name of one', async (t) => {
  const several = {
    'GET /v1/interfaces': () => ({
      body: { interfaces: [faith, { ...faith, name: 'faith1', prefixes: ['2001:db8::/96'] }] },
    }),
  }
  await t.throwsAsync(withAnswers(several, 'prefix', 'add', '2001:db8:64::/96'), {
    message: /name one of faith0, faith1 with --interface/,
  })
  const deleted = await withAnswers(several, 'prefix', 'delete', '64:ff9b::/96')
  t.is(deleted.text, 'faith0 no longer captures 64:ff9b::/96')
})

test('acl show lists rules with their places', async (t) => {
  const { text } = await faithctl(socket, ['acl', 'show'])
  t.regex(text, /^faith0, relay 1, ports all:$/m)
  t.regex(text, /permit 198\.51\.100\.0\/24 port 443 +\/etc\/faithd\/faithd\.conf:3$/m)
  t.regex(text, /^  otherwise: A connection that no rule matches is denied\.$/m)
})

test('acl test names the rule that decides', async (t) => {
  const { text, exitCode } = await faithctl(socket, [
    'acl',
    'test',
    '2001:db8:1::7',
    '198.51.100.7:443',
  ])
  t.regex(text, /^faith0, relay 1: permitted$/m)
  t.regex(text, /^  rule +2001:db8:1::\/48 permit/m)
  t.is(exitCode, undefined)
  const asked = await asks('acl', 'test', '2001:db8:1::7', '[64:ff9b::1]:22')
  t.deepEqual(asked?.query, { client: '2001:db8:1::7', destination: '64:ff9b::1', port: '22' })
})

const testAnswer = (body: unknown) => ({ 'GET /v1/access-lists/test': () => ({ body }) })

test('acl test ends with 1 for a connection that would be denied, or taken by no relay', async (t) => {
  const denied = {
    interface: 'faith0',
    relay: 1,
    permitted: false,
    cause: 'denied-no-match',
    explanation: 'It is denied: no rule permits it.',
  }
  const words = ['acl', 'test', '2001:db8:1::7', '198.51.100.7']
  const first = await withAnswers(testAnswer([denied]), ...words)
  t.regex(first.text, /denied\n.*\n? +cause +denied-no-match\n/s)
  t.is(first.exitCode, 1)
  const second = await withAnswers(testAnswer([]), ...words)
  t.regex(second.text, /^no relay has port 443 of 198\.51\.100\.7: /)
  t.is(second.exitCode, 1)
  await t.throwsAsync(faithctl(socket, ['acl', 'test', '192.0.2.1', '192.0.2.2']), {
    message: /not the IPv6 address of a client/,
  })
})

test('reload prints changes and warnings, and a refused file ends it with 78', async (t) => {
  t.is((await faithctl(socket, ['reload'])).text, 'idle-timeout: 60\nwarning: mtu needs a start')
  const refused = {
    'POST /v1/reload': () => ({ status: 422, body: problem(422, 'faithd.toml:3: unknown key') }),
  }
  await t.throwsAsync(withAnswers(refused, 'reload'), { message: 'faithd.toml:3: unknown key' })
  const error = await withAnswers(refused, 'reload').catch((thrown: unknown) => thrown)
  t.is((error as ProblemError).exitCode, 78)
})

test('log-level shows the level and sets it alone', async (t) => {
  t.is((await faithctl(socket, ['log-level'])).text, 'log level info, format text')
  const { text, asked } = await withAnswers({}, 'log-level', 'debug')
  t.is(text, 'log level debug, format text')
  t.like(asked[0], { method: 'PUT', body: { level: 'debug' } })
  await t.throwsAsync(faithctl(socket, ['log-level', 'loud']), { message: /not one of fatal, / })
})

test('malformed values are usage errors, before the daemon is asked', async (t) => {
  for (const [words, message] of [
    [['sessions', '-p', 'http'], /--port: 'http' is not a whole number from 1 to 65535/],
    [['sessions', '--idle', 'long'], /--idle: 'long' is not a duration; write 90, /],
    [['sessions', '--sort', 'size'], /--sort: 'size' is not one of age, idle, /],
    [['sessions', '--state', 'dead'], /--state: 'dead' is not one of open, /],
    [['sessions', '--protocol', 'ip'], /--protocol: 'ip' is not one of tcp, udp/],
    [['sessions', '--follow', '--protocol', 'ip'], /--protocol: 'ip' is not one of tcp, udp/],
    [['clients', '-l', '129'], /--prefix-length: '129' is not a whole number from 0 to 128/],
    [['sessions', '--follow', '--state', 'open'], /'--state' does not go with --follow/],
  ] as const) {
    const error = await t.throwsAsync(faithctl({ path: '/nowhere' }, words), { message })
    t.true(error instanceof CommandLineError)
  }
})

for (const [code, exitCode, more] of [
  [400, 64, {}],
  [403, 77, { code: 'EPERM' }],
  [404, 69, {}],
  [409, 78, { code: 'EEXIST' }],
  [500, 70, {}],
  [503, 69, {}],
] as const) {
  test(`a problem of status ${code} ends faithctl with ${exitCode}, with its sentence and hint`, async (t) => {
    const body = problem(code, 'it went wrong', { hint: 'mend it', ...more })
    const answers = { 'GET /v1/status': () => ({ status: code, body }) }
    const error = await t.throwsAsync(withAnswers(answers, 'status'), {
      message: 'it went wrong; mend it',
    })
    t.is((error as ProblemError).exitCode, exitCode)
  })
}

test('a relay that retires, and one without a limit, are shown so', async (t) => {
  const body = {
    ...status,
    interfaces: [
      {
        ...faith,
        configured: false,
        relays: [{ ...relay, retired: true, limits: { ...relay.limits, maxSessions: 0 } }],
      },
    ],
  }
  const { text } = await withAnswers({ 'GET /v1/status': () => ({ body }) }, 'status')
  t.regex(text, /retired: it takes no more connections/)
  t.regex(text, /^ +sessions +2 active/m)
  t.regex(text, /, made\s+over the control socket$/m)
})
