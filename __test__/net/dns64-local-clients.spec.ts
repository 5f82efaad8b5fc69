/** `--dns64` without `--dns64-client`: clients in networks of the router get answers, and no others. */
import { join } from 'node:path'
import test from 'ava'
import type { Status } from '../../cli/control/schemas.js'
import { addresses, createLab, waitFor } from '../../lab/index.js'
import { Control } from '../fixtures/control.js'
import { permitted } from '../fixtures/faithd.js'
import { startNameServer } from '../fixtures/name-server.js'

/** The router's address on its link to the other router, behind which the client is. */
const server = '2001:db8:2::1'

const lab = await createLab({ edge: true })
await startNameServer(lab, ['www.example.net. 300 A 198.51.100.2'])
test.after.always(() => lab.close())

const control = new Control(lab.router, join(lab.directory, 'control.sock'))

async function start(...more: readonly string[]) {
  const usual = ['-k', '-P', '2001:db8:64::/96', '--control', control.path, '--drain', '0']
  const resolving = ['--dns64', '--dns64-upstream', addresses.server]
  return await lab.router.faithd([...usual, ...permitted, ...resolving, ...more])
}

/** The code of the response, and its addresses. */
async function ask(host: 'client' | 'router' = 'client', ...more: readonly string[]) {
  const at = host === 'client' ? server : '::1'
  const args = ['+tries=1', '+time=10', ...more, `@${at}`, 'AAAA', 'www.example.net']
  const { stdout } = await lab[host].run('dig', args)
  const [, code = stdout] = /status: (\w+)/.exec(stdout) ?? []
  const found = [...stdout.matchAll(/\sAAAA\s+(\S+:\S*)$/gm)].map(([, address]) => address)
  return [code, ...found].join(' ')
}

const answered = 'NOERROR 2001:db8:64::c633:6402'

test.serial(
  'a client behind another router is refused, and the log says how to permit it',
  async (t) => {
    const faithd = await start()
    t.is(await ask(), 'REFUSED')
    t.is(await ask('client', '+tcp'), 'REFUSED')
    await faithd.line(
      /WARN: refuses DNS queries of 2001:db8:1::2, which is in no network of this host; to permit others, name every .* --dns64-client$/m,
    )
    t.is(faithd.output.split('refuses DNS queries').length, 2)
    t.is(await ask('router'), answered)
    const { dns64 } = (await control.get('/v1/status')).json as Status
    t.like(dns64, { refused: 2, rejected: 0, upstreamQueries: 2 })
    await faithd.stop()
  },
)

test.serial('a network that is named, and ::/0, permit it', async (t) => {
  for (const network of ['2001:db8:1::/64', '::/0']) {
    const faithd = await start('--dns64-client', network)
    t.is(await ask(), answered, network)
    // Those that are named replace the networks of the router.
    t.is(await ask('router'), network === '::/0' ? answered : 'REFUSED')
    await faithd.stop()
  }
})

test.serial('the networks of the router are those of the moment', async (t) => {
  const faithd = await start()
  t.is(await ask(), 'REFUSED')
  const address = ['2001:db8:1::99/64', 'dev', 'lan0']
  await lab.router.run('ip', ['address', 'add', ...address, 'nodad', 'noprefixroute'])
  await waitFor('the client to get answers', async () => (await ask()) === answered)
  await lab.router.run('ip', ['address', 'del', ...address])
  await waitFor('the client to be refused', async () => (await ask()) === 'REFUSED')
  t.is(await ask('router'), answered)
  await faithd.stop()
})
