/** `--dns64-upstream tls://…` and `https://…`: faithd asks DNS servers over TLS and HTTPS, and only those it can trust. */
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { Status } from '../../cli/control/schemas.js'
import { addresses, createLab, unboundArguments, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { Authority, type Certified } from '../fixtures/authority.js'
import { Control } from '../fixtures/control.js'
import { permitted, runFaithd } from '../fixtures/faithd.js'
import { startNameServer } from '../fixtures/name-server.js'

const program = fileURLToPath(new URL('../programs/secure-dns.ts', import.meta.url))
const prefix = '2001:db8:64::/96'
const www = '2001:db8:64::c633:6402'
const { gateway, server } = addresses

let lab: Lab
let control: Control
let authority: Authority
/** The certificate of a server that faithd trusts. */
let good: Certified

test.before(async () => {
  lab = await createLab()
  control = new Control(lab.router, join(lab.directory, 'control.sock'))
  authority = new Authority(join(lab.directory, 'authority'))
  good = authority.sign('good', `DNS:dns.example.net,IP:${server}`)
  // Knows the address of dns.example.net, and answers by UDP and TCP.
  await startNameServer(lab, [
    `dns.example.net. 300 A ${server}`,
    'plain.example.net. 300 A 198.51.100.2',
  ])
})

/** Programs of one test. */
let running: LabProcess[] = []

test.afterEach.always(async () => {
  await Promise.all(running.map((one) => one.stop()))
  running = []
})
test.after.always(() => lab.close())

/** Starts faithd with these servers to ask. */
async function start(...upstreams: readonly string[]): Promise<LabProcess> {
  const asked = upstreams.flatMap((upstream) => ['--dns64-upstream', upstream])
  const args = ['-k', '-P', prefix, '--control', control.path, ...permitted, '--dns64', ...asked]
  const env = { SSL_CERT_FILE: authority.file }
  const faithd = await lab.router.faithd(args, { env })
  running.push(faithd)
  return faithd
}

/** Starts a server with a habit. */
async function serve(habit: string, { certificate, key }: Certified = good): Promise<LabProcess> {
  const started = lab.server.node(program, [habit, certificate, key])
  running.push(started)
  await started.line(/^listens$/)
  return started
}

/** Starts unbound, which answers over TLS and HTTPS. */
async function unbound(): Promise<LabProcess> {
  const started = lab.server.spawn(
    'unbound',
    unboundArguments(
      join(lab.directory, 'unbound'),
      { listen: [`${server}@853`, `${server}@443`] },
      `tls-service-pem: "${good.certificate}"`,
      `tls-service-key: "${good.key}"`,
      'local-zone: "example.net." static',
      'local-data: "www.example.net. 300 A 198.51.100.2"',
    ),
  )
  running.push(started)
  await waitFor('unbound to listen', async () => {
    if (!started.running) throw new Error(`unbound ended; it printed:\n${started.output}`)
    return (await lab.server.listening(853)) && (await lab.server.listening(443))
  })
  return started
}

async function dig(...args: readonly string[]): Promise<string> {
  const given = ['+tries=1', '+time=10', `@${gateway}`, ...args]
  return (await lab.client.run('dig', given)).stdout.trim()
}

const records = (name: string) => dig('+short', 'AAAA', name)

async function statusOf(): Promise<Status> {
  return (await control.get('/v1/status')).json as Status
}

for (const [title, upstream] of [
  ['TLS, by the address in its certificate', `tls://${server}`],
  ['TLS, by a name', `tls://${server}:853#dns.example.net`],
  ['HTTPS, by the address in its certificate', `https://${server}/dns-query`],
  ['HTTPS, by a name', `https://${server}/dns-query#dns.example.net`],
] as const) {
  test.serial(`unbound answers over ${title}`, async (t) => {
    await unbound()
    const { output } = await start(upstream)
    t.regex(output, /and asks (tls|https):\/\/198\.51\.100\.2:\d+/)
    t.is(await records('www.example.net'), www)
    t.regex(await dig('AAAA', 'none.example.net'), /status: NXDOMAIN/)
    const { problems } = await statusOf()
    t.deepEqual(
      problems.filter((problem) => problem.includes('DNS')),
      [],
    )
  })
}

test.serial('another server looks up the name of one that has no address', async (t) => {
  await unbound()
  await start('https://dns.example.net/dns-query', `tls://${server}:8853`, server)
  t.is(await records('www.example.net'), www)
})

test.serial('queries share a connection, and their lengths tell little', async (t) => {
  const started = await serve('answers')
  await start(`tls://${server}`)
  t.is(await records('a.example.net'), www)
  t.is(await records('a-name-that-is-longer.example.net'), www)
  const queries = started.lines.filter((line) => line.startsWith('query '))
  // Two for AAAA records, and two for A records.
  t.deepEqual(
    queries.map((line) => line.split(' ')[1]),
    ['128', '128', '128', '128'],
  )
  t.deepEqual(
    started.lines.filter((line) => line.startsWith('connection')),
    ['connection 1'],
  )
})

test.serial('responses may come in another order than their queries', async (t) => {
  await serve('reverses')
  await start(`tls://${server}`)
  const names = ['one.example.net', 'two.example.net']
  t.deepEqual(await Promise.all(names.map((name) => records(name))), [www, www])
})

test.serial('a connection that the server closes is made again', async (t) => {
  const started = await serve('closes')
  await start(`tls://${server}`)
  for (const name of ['one.example.net', 'two.example.net', 'three.example.net']) {
    t.is(await records(name), www)
  }
  t.true(started.lines.includes('connection 6'))
})

test.serial('a connection that stalls is left for a new one', async (t) => {
  const started = await serve('stalls')
  await start(`tls://${server}`)
  t.is(await records('www.example.net'), www)
  t.true(started.lines.includes('connection 2'))
})

test.serial('a server that stalls makes way for one of another kind', async (t) => {
  await serve('stalls')
  await start(`tls://${server}`, server)
  t.is(await records('plain.example.net'), www)
})

test.serial('the reason is told why a server cannot be trusted', async (t) => {
  const other = new Authority(join(lab.directory, 'other'))
  const names = `DNS:dns.example.net,IP:${server}`
  const unknown = other.sign('unknown', names)
  const expired = authority.sign('expired', names, 'expired')
  for (const [certified, upstream, reason] of [
    [
      good,
      `tls://${server}#dns.example.org`,
      'the certificate is for dns.example.net, .*and not for dns.example.org',
    ],
    [expired, `tls://${server}`, 'the certificate has expired'],
    [unknown, `tls://${server}`, 'no root certificate of this host leads to the certificate'],
    [
      { certificate: other.file, key: join(lab.directory, 'other', 'root.key') },
      `tls://${server}`,
      'the certificate is that of an authority .*, and not of a server',
    ],
  ] as const) {
    const secure = await serve('answers', certified)
    const faithd = await start(upstream, server)
    t.is(await records('plain.example.net'), www, 'the next server answers')
    await faithd.line(new RegExp(`WARN: cannot ask the DNS server tls://.*: ${reason}`))
    const { problems } = await statusOf()
    t.regex(problems.join('\n'), new RegExp(reason))
    t.deepEqual(
      secure.lines.filter((line) => line.startsWith('query')),
      [],
    )
    await Promise.all([secure.stop(), faithd.stop()])
  }
})

test.serial(
  'a reload reads the root certificates again, and keeps the last good ones',
  async (t) => {
    const roots = join(lab.directory, 'roots.pem')
    copyFileSync(new Authority(join(lab.directory, 'before')).file, roots)
    const secure = await serve('answers')
    const args = ['-k', '-P', prefix, ...permitted, '--control', control.path, '--dns64']
    const upstream = ['--dns64-upstream', `tls://${server}`]
    const faithd = await lab.router.faithd([...args, ...upstream], {
      env: { SSL_CERT_FILE: roots, SSL_CERT_DIR: '' },
    })
    running.push(faithd)
    t.regex(await dig('AAAA', 'www.example.net'), /status: SERVFAIL/)
    await faithd.line(
      /WARN: cannot ask .*: no root certificate of this host leads to the certificate/,
    )

    writeFileSync(roots, 'no certificate\n')
    faithd.kill('SIGHUP')
    await faithd.line(
      /WARN: dns64: the root certificates stay as they were: this host has no root certificates.*; install ca-certificates/,
    )

    copyFileSync(authority.file, roots)
    faithd.kill('SIGHUP')
    await faithd.line(/INFO: SIGHUP: dns64: root certificates read again/)
    await faithd.line(/INFO: tls:\/\/198\.51\.100\.2:853 answers again/)
    await waitFor('an answer', async () => (await records('www.example.net')) === www)
    t.true(secure.lines.some((line) => line.startsWith('query')))
    const { lastReload } = await statusOf()
    t.like(lastReload, { applied: true, detail: 'dns64: root certificates' })
  },
)

test.serial('a server that is gone is told, and told again when it answers', async (t) => {
  const faithd = await start(`tls://${server}`)
  t.regex(await dig('AAAA', 'www.example.net'), /status: SERVFAIL/)
  await faithd.line(/WARN: cannot ask the DNS server tls:.*: Connection refused/)
  await serve('answers')
  await waitFor('an answer', async () => (await records('www.example.net')) === www)
  await faithd.line(/INFO: tls:\/\/198\.51\.100\.2:853 answers again/)
})

test.serial('a server that works again is found, though another one answers', async (t) => {
  const faithd = await start(`tls://${server}`, server)
  t.is(await records('plain.example.net'), www)
  await faithd.line(/WARN: cannot ask the DNS server tls:.*: Connection refused/)
  const started = await serve('answers')
  await faithd.line(/INFO: tls:\/\/198\.51\.100\.2:853 answers again/)
  const { problems } = await statusOf()
  t.false(problems.join().includes('DNS'))
  // The query of a client was about another name.
  t.deepEqual(
    started.lines.filter((line) => line.startsWith('query')),
    ['query 128 '],
  )
})

test.serial('an HTTP status other than 200 is told', async (t) => {
  await serve('refuses')
  const faithd = await start(`https://${server}/dns-query`, server)
  t.is(await records('plain.example.net'), www)
  await faithd.line(/WARN: cannot ask the DNS server https:.*: answers with the HTTP status 404/)
})

test.serial('a server without HTTP/2 or without TLS is told', async (t) => {
  const faithd = await start(`https://${server}:853/dns-query`, `tls://${server}:53`, server)
  await serve('answers')
  t.is(await records('plain.example.net'), www)
  await faithd.line(/WARN: cannot ask the DNS server https:.*: does not offer HTTP\/2/)
})

test.serial('servers that cannot be understood or found are refused', async (t) => {
  for (const [upstream, complaint] of [
    ['tls://dns.example.net', /nothing can look up tls:\/\/dns\.example\.net:853/],
    ['tls://192.0.2.300', /'tls:\/\/192\.0\.2\.300' is not an IP address/],
    ['https://192.0.2.53', /is not an IP address/],
    ['tls://2001:db8::53', /is not an IP address/],
  ] as const) {
    const args = ['-k', '--check', '--dns64', '--dns64-upstream', upstream]
    const { code, stderr } = await runFaithd(lab, args)
    t.is(code, 64, stderr)
    t.regex(stderr, complaint)
  }
})
