/** A DNS server of a program, as clients see it. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import type { FaithDns64Options, FaithDns64Stats } from '../../../index.js'
import { addresses, createLab, nodeCommand, waitFor } from '../../../lab/index.js'
import { startNameServer } from '../../fixtures/name-server.js'

const program = fileURLToPath(new URL('../../programs/dns64-server.ts', import.meta.url))

const lab = await createLab()
await startNameServer(lab, [
  'www.example.net. 300 A 198.51.100.2',
  'both.example.net. 300 A 198.51.100.2',
  'both.example.net. 300 AAAA 2001:db8:bad::2',
])
test.after.always(() => lab.close())

const [www, other] = ['2001:db8:64::c633:6402', '2001:db8:65::c633:6402']
const upstreams = [{ address: addresses.server }]
const aborted = { code: 'ABORT_ERR', message: 'The operation was aborted' }

/** Runs the program for one test, and gives the function that asks it. */
async function run(
  t: ExecutionContext,
  options: FaithDns64Options & { own?: string } = { upstreams },
) {
  const [command, args] = nodeCommand(program, [JSON.stringify(options)])
  const running = lab.router.spawn(command, args)
  t.teardown(() => running.stop())
  let read = 0
  const next = () =>
    waitFor('an answer of the program', () => {
      if (!running.running) throw new Error(`the program ended; it printed:\n${running.output}`)
      const line = running.lines[read]
      if (line === undefined) return undefined
      read += 1
      return { answer: JSON.parse(line) as unknown }
    })
  await next()
  return async (line: string): Promise<unknown> => {
    running.stdin.write(`${line}\n`)
    return (await next()).answer
  }
}

/** The AAAA records that a client gets. */
async function records(name: string, port = 53): Promise<string[]> {
  const args = ['+short', '+tries=1', '+time=10', '-p', String(port), `@${addresses.gateway}`]
  const { code, stdout } = await lab.client.run('dig', [...args, 'AAAA', name])
  if (code !== 0) throw new Error(stdout)
  return stdout.split('\n').filter(Boolean).toSorted()
}

test.serial('a program answers while one of its relays takes connections', async (t) => {
  const ask = await run(t)
  t.deepEqual(await ask('open'), [{ address: '::', port: 53 }])
  t.deepEqual(await records('www.example.net'), [])
  await ask('relay')
  t.deepEqual(await records('www.example.net'), [www])
  await ask('stop')
  t.deepEqual(await records('www.example.net'), [])
  await ask('end')
  await ask('relay')
  t.deepEqual(await records('www.example.net'), [www])
  await ask('end')
  t.deepEqual(await records('www.example.net'), [])
})

test.serial('prefixes and settings change while the server is open', async (t) => {
  const ask = await run(t)
  await ask('relay')
  await ask('open')
  await ask('prefix 2001:db8:65::/96')
  t.deepEqual(await records('www.example.net'), [www, other])
  t.deepEqual(await records('both.example.net'), ['2001:db8:bad::2'])
  t.is(await ask('update {"exclude":["2001:db8:bad::/48"]}'), null)
  t.deepEqual(await records('both.example.net'), [www, other])
  // A setting that is left out stays, and a wrong one changes nothing.
  t.is(await ask('update {"failures":"pass"}'), null)
  t.like(await ask('update {"exclude":["a/b"]}'), { code: 'ERR_FAITH_ARGUMENT' })
  t.like(await ask('update {"exclude":[],"failures":"no"}'), { code: 'ERR_FAITH_ARGUMENT' })
  t.deepEqual(await records('both.example.net'), [www, other])
  t.is(await ask('update {"exclude":[]}'), null)
  t.deepEqual(await records('both.example.net'), ['2001:db8:bad::2'])
})

test.serial('clients of a network get addresses in one of the prefixes', async (t) => {
  const ask = await run(t)
  await ask('relay')
  await ask('open')
  const update = (clients: string, prefix: string) =>
    ask(`update ${JSON.stringify({ clientPrefixes: [{ clients, prefix }] })}`)
  const message = 'clientPrefixes: the interface does not have 2001:db8:65::/96'
  t.like(await update('::/0', '2001:db8:65::/96'), { code: 'ERR_FAITH_ARGUMENT', message })
  t.like(await update('::/0', 'a/96'), { code: 'ERR_FAITH_PREFIX' })
  t.like(await update('a/0', '2001:db8:64::/96'), { code: 'ERR_FAITH_ARGUMENT' })
  t.deepEqual(await records('www.example.net'), [www])
  await ask('prefix 2001:db8:65::/96')
  t.is(await update('2001:db8:1::/64', '2001:db8:65::/96'), null)
  t.deepEqual(await records('www.example.net'), [other])
  t.is(await update('2001:db8:2::/64', '2001:db8:65::/96'), null)
  t.deepEqual(await records('www.example.net'), [www, other])
})

test.serial('statistics count, and stay after the close', async (t) => {
  const ask = await run(t, { upstreams, listen: [{ address: addresses.gateway, port: 5300 }] })
  await ask('relay')
  await ask('open')
  t.deepEqual(await records('www.example.net', 5300), [www])
  const stats = (await ask('stats')) as FaithDns64Stats
  t.like(stats, { udpQueries: 1, synthesised: 1, upstreamQueries: 2, upstreamFailures: 0 })
  await ask('close')
  t.deepEqual(await ask('stats'), stats)
  t.like(await ask('update {}'), { code: 'ERR_FAITH_CLOSED' })
})

test.serial('an aborted signal closes the server, and opens none', async (t) => {
  const ask = await run(t)
  t.deepEqual(await ask('open-aborted'), aborted)
  await ask('open')
  t.deepEqual(await records('www.example.net'), [])
  t.is(await ask('abort'), 0)
  await t.throwsAsync(records('www.example.net'))
})

test.serial('the close of the interface closes the server', async (t) => {
  const ask = await run(t)
  t.deepEqual(await ask('open'), [{ address: '::', port: 53 }])
  t.like(await ask('open'), { code: 'EADDRINUSE' })
  await ask('finish')
  await t.throwsAsync(records('www.example.net'))
  t.like(await ask('open'), { code: 'ERR_FAITH_CLOSED' })
})

/** The status of the answer that a client gets, and its records with their TTLs. */
async function answer(type: string, name: string): Promise<string[]> {
  const args = ['+noall', '+comments', '+answer', '+tries=1', '+time=10', `@${addresses.gateway}`]
  const { stdout } = await lab.client.run('dig', [...args, type, name])
  const [, status = stdout] = /status: (\w+)/.exec(stdout) ?? []
  const found = stdout.matchAll(/^[^;\s]\S*\s+(\d+)\s.*\s(\S+)$/gm)
  return [status, ...Array.from(found, ([, ttl = '', data = '']) => `${ttl} ${data}`)]
}

test.serial(
  "a program's function answers for its names, and no other name reaches it",
  async (t) => {
    const ask = await run(t, { upstreams, own: 'internal' })
    await ask('relay')
    await ask('open')
    // The access list opens the first address alone.
    t.deepEqual(await answer('AAAA', 'DB.Internal'), ['NOERROR', `7 ${www}`])
    t.deepEqual(await answer('A', 'db.internal'), ['NOERROR', '7 198.51.100.2', '7 192.0.2.1'])
    t.deepEqual(await answer('TXT', 'db.internal'), ['NOERROR'])
    t.deepEqual(await answer('AAAA', 'gone.internal'), ['NXDOMAIN'])
    t.deepEqual(await answer('AAAA', 'refused.internal'), ['REFUSED'])
    t.deepEqual(await answer('AAAA', 'pass.internal'), ['NXDOMAIN'], 'no zone has it')
    t.deepEqual(await records('www.example.net'), [www])
    const { client } = addresses
    t.deepEqual(await ask('asked'), [
      `db.internal AAAA ${client}`,
      `db.internal A ${client}`,
      `db.internal TXT ${client}`,
      `gone.internal AAAA ${client}`,
      `refused.internal AAAA ${client}`,
      `pass.internal AAAA ${client}`,
    ])
    t.like(await ask('stats'), { own: 5, ownFailures: 0, synthesised: 1, upstreamQueries: 3 })
    await ask('stop')
    t.deepEqual(await answer('AAAA', 'db.internal'), ['NOERROR'], 'no relay takes connections')
  },
)

test.serial('a function that throws or is slow gives SERVFAIL, and is reported', async (t) => {
  const ask = await run(t, { upstreams, own: 'internal' })
  await ask('relay')
  await ask('open')
  t.deepEqual(await answer('AAAA', 'throws.internal'), ['SERVFAIL'])
  t.deepEqual(await answer('AAAA', 'slow.internal'), ['SERVFAIL'])
  t.like(await ask('stats'), { own: 0, ownFailures: 2 })
  const failures = await waitFor('the reports', async () => {
    const told = (await ask('failures')) as string[]
    return told.length === 2 ? told : undefined
  })
  const start = `ERR_FAITH_RESOLVE: resolve: no answer to ${addresses.client} about`
  t.is(failures[0], `${start} throws.internal AAAA: as told`)
  t.true(failures[1]?.startsWith(`${start} slow.internal AAAA: `), failures[1])
  t.deepEqual(await answer('AAAA', 'db.internal'), ['NOERROR', `7 ${www}`])
  await ask('close')
})

for (const [title, own] of [
  ['no JavaScript runs for a query without a function', undefined],
  ['no JavaScript runs for a query about other names than those of the function', 'internal'],
] as const) {
  test.serial(title, async (t) => {
    const ask = await run(t, { upstreams, ...(own !== undefined && { own }) })
    await ask('relay')
    await ask('open')
    const pipe = join(lab.directory, `pipe-${own}`)
    await lab.router.run('mkfifo', [pipe])
    const reading = ask(`read ${pipe}`)
    // Opens as soon as the program does, which then waits for the end of the pipe.
    const writer = await open(pipe, 'w')
    t.deepEqual(await records('www.example.net'), [www])
    t.deepEqual(await records('both.example.net'), ['2001:db8:bad::2'])
    if (own !== undefined) t.deepEqual(await answer('AAAA', 'db.internal'), ['SERVFAIL'])
    await writer.close()
    t.is(await reading, '')
    t.like(await ask('stats'), { synthesised: 1, ownFailures: own === undefined ? 0 : 1 })
  })
}
