/** The DNS servers that faithd asks: all at once, without a cache, one that asks faithd back, and a silent one. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { Status } from '../../cli/control/schemas.js'
import { addresses, createLab, unboundArguments, waitFor } from '../../lab/index.js'
import type { LabProcess } from '../../lab/index.js'
import { Authority } from '../fixtures/authority.js'
import { Control } from '../fixtures/control.js'
import { sumOf } from '../fixtures/exposition.js'
import { startNameServer } from '../fixtures/name-server.js'

const secure = fileURLToPath(new URL('../programs/secure-dns.ts', import.meta.url))
const www = '2001:db8:64::c633:6402'
const { gateway, routerIPv4, server } = addresses

const lab = await createLab()
const named = await startNameServer(lab, ['www.example.net. 300 A 198.51.100.2'])
const control = new Control(lab.router, join(lab.directory, 'control.sock'))
const authority = new Authority(join(lab.directory, 'authority'))

/** Programs of one test. */
let running: LabProcess[] = []

test.afterEach.always(async () => {
  await Promise.all(running.map((one) => one.stop()))
  running = []
})
test.after.always(() => lab.close())

/** Starts faithd with these lines of the table `[dns64]`. */
async function start(...lines: readonly string[]): Promise<LabProcess> {
  const file = join(lab.directory, 'faithd.toml')
  const text = [
    'keepfaith = true',
    '[dns64]',
    `listen = ["::", "${routerIPv4}"]`,
    ...lines,
    '[[interface]]',
    'prefixes = ["2001:db8:64::/96"]',
    '[[interface.relay]]',
    'rules = ["permit 198.51.100.0/24"]',
    '',
  ].join('\n')
  writeFileSync(file, text)
  const env = { SSL_CERT_FILE: authority.file }
  const faithd = await lab.router.faithd(['-c', file, '--control', control.path], { env })
  running.push(faithd)
  return faithd
}

async function dig(...args: readonly string[]): Promise<string> {
  const given = ['+tries=1', '+time=20', `@${gateway}`, ...args]
  return (await lab.client.run('dig', given)).stdout.trim()
}

async function dns64(): Promise<NonNullable<Status['dns64']>> {
  const { dns64: state } = (await control.get('/v1/status')).json as Status
  if (state === undefined) throw new Error('faithd has no DNS server')
  return state
}

/** Asks faithd about everything. */
const asksFaithd = { forward: routerIPv4 }
/** Lines for unbound to know a name by itself. */
const knowsNames = ['local-zone: "." static', 'local-data: "www.example.net. 300 A 198.51.100.2"']

/** Starts unbound at port 5300 of the lab's server, with these lines of its configuration. */
async function startUnbound(options: { forward?: string }, ...lines: string[]): Promise<void> {
  const unbound = lab.server.spawn(
    'unbound',
    unboundArguments(
      join(lab.directory, 'unbound'),
      { listen: [`${server}@5300`], ...options },
      'module-config: "iterator"',
      ...lines,
    ),
  )
  running.push(unbound)
  await waitFor('unbound to listen', async () => {
    if (!unbound.running) throw new Error(`unbound ended; it printed:\n${unbound.output}`)
    return await lab.server.listening(5300)
  })
}

/** The problems with DNS servers in the status. */
async function problems(): Promise<string[]> {
  const status = (await control.get('/v1/status')).json as Status
  return status.problems.filter((problem) => problem.includes('DNS server'))
}

test.serial('a server that asks faithd back is found, and told', async (t) => {
  await startUnbound(asksFaithd)
  const faithd = await start(`upstreams = ["${server}:5300"]`)
  const answer = await dig('MX', 'www.example.net')
  t.regex(answer, /status: SERVFAIL/)
  t.regex(answer, /EDE: 0 .*forwarding loop/)
  await faithd.line(
    /WARN: the DNS server 198\.51\.100\.2:5300 asks faithd what faithd asks it, a loop; name another one with --dns64-upstream/,
  )
  t.regex(await dig('AAAA', 'other.example.net'), /status: SERVFAIL/)
  t.is(faithd.output.split('a loop;').length, 2, 'it is told once')
  const { loops, servers } = await dns64()
  t.true(loops >= 2)
  t.like(servers, [{ server: `${server}:5300`, condition: 'loop', loops }])
  t.regex((await problems()).join(), /asks faithd what faithd asks it, a loop/)
})

test.serial(
  'a server that falls silent beside another one is told, and told when it answers',
  async (t) => {
    await startUnbound({}, ...knowsNames)
    const faithd = await start(`upstreams = ["${server}", "${server}:5300"]`)
    const silence = `cannot ask the DNS server ${server}:53: gives no response`
    named.kill('SIGSTOP')
    try {
      t.is(await dig('+short', 'AAAA', 'www.example.net'), www, 'the other one answers')
      await faithd.line(/WARN: cannot ask the DNS server 198\.51\.100\.2:53: gives no response/)
      t.deepEqual(await problems(), [silence])
      const [silent, other] = (await dns64()).servers
      t.like(silent, { answered: 0, condition: 'failing', trouble: 'gives no response' })
      t.true(silent !== undefined && silent.queries >= 3 && silent.unanswered >= 2)
      t.like(other, { condition: 'good', unanswered: 0 })
      t.true(other !== undefined && other.answered > 0 && other.answered === other.queries)
      const metrics = (await control.get('/metrics')).text
      const up = (upstream: string) => sumOf(metrics, 'faithd_dns64_upstream_up', { upstream })
      t.deepEqual([up(`${server}:53`), up(`${server}:5300`)], [0, 1])
    } finally {
      named.kill('SIGCONT')
    }
    await faithd.line(/INFO: 198\.51\.100\.2:53 answers again/)
    t.deepEqual(await problems(), [])
    t.is(faithd.output.split('gives no response').length, 2, 'it is told once')
  },
)

test.serial('a server that asks faithd back makes way for another one', async (t) => {
  await startUnbound(asksFaithd)
  await start(`upstreams = ["${server}:5300", "${server}"]`)
  t.is(await dig('+short', 'AAAA', 'www.example.net'), www)
})

test.serial('all servers are asked at once with all-servers', async (t) => {
  const { certificate, key } = authority.sign('good', `IP:${server}`)
  const other = lab.server.node(secure, ['answers', certificate, key])
  running.push(other)
  await other.line(/^listens$/)
  await start(`upstreams = ["${server}", "tls://${server}"]`, 'all-servers = true')
  t.is(await dig('+short', 'AAAA', 'www.example.net'), www)
  // The name server is near and answers first, by UDP. The other one gets each query all the same.
  await other.line(/^query \d+ www\.example\.net\.$/)
  t.true((await dns64()).upstreamQueries >= 4)
})

test.serial('without a cache each query costs one to a server', async (t) => {
  await start(`upstreams = ["${server}"]`, 'cache-bytes = 0')
  for (const queries of [1, 2, 3]) {
    await dig('MX', 'www.example.net')
    t.like(await dns64(), { upstreamQueries: queries, cached: 0, cacheEvictions: 0 })
  }
})
