/** A program connects to clients from addresses inside a prefix. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { nft } from '../../fixtures/nft.js'
import { Watch } from '../../fixtures/segments.js'
import { Sockets } from '../../fixtures/sockets.js'
import { closes, silence } from '../../fixtures/splices.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const clients = Sockets.of(lab.client)
const from = '64:ff9b::c633:6402'
const to = addresses.client
const echo = { host: addresses.server, port: 7 }
test.before(() => lab.server.echo(echo))

const syn = fileURLToPath(new URL('../../programs/syn.py', import.meta.url))
const program = fileURLToPath(new URL('../../../lab/programs/echo.ts', import.meta.url))

let ports = 7800
async function listening() {
  ports += 1
  return { port: ports, listener: await clients.listen(ports, { address: '::' }) }
}

for (const shortcut of [true, false]) {
  const without = shortcut ? '' : ', without a shortcut'
  test.serial(
    `a client is called from port 20 of an address inside a prefix${without}`,
    async (t) => {
      await using faith = await router.create({ shortcut })
      const { port, listener } = await listening()
      const made = await faith.connect({ from, fromPort: 20, to, port })
      const called = await listener.accept()
      t.is(await called.address(), from)
      t.is(await called.port(), 20)
      t.deepEqual(made.facts, {
        isNodeSocket: true,
        local: `[${from}]:20`,
        remote: `[${to}]:${port}`,
        destination: { address: from, port: 20, prefix: '64:ff9b::/96', interface: 'faith0' },
      })
      called.says('hello\n')
      t.is(await made.line(), 'hello')
      await made.write('goodbye\n')
      await made.end()
      await called.hears('goodbye\n')
      await called.sees('end')
      called.ends()
      await closes(made)
      const stats = await faith.stats()
      t.is(stats.shortcut, shortcut)
      t.true(stats.captured.packets > 0)
      t.true(stats.returned.packets > 0)
    },
  )
}

test.serial('bytes arrive unchanged, both ways at once', async (t) => {
  await using faith = await router.create({ workers: 2 })
  const port = 7700
  const echoes = lab.client.node(program, ['--address', '::', '--port', String(port)])
  await echoes.line(/^listening$/)
  const bytes = 16 * 2 ** 20
  const made = await Promise.all(
    [21, 22, 23].map((fromPort) => faith.connect({ from, fromPort, to, port })),
  )
  for (const one of made) {
    const [sent, received] = await Promise.all([one.send('there', bytes), one.receive(bytes)])
    t.deepEqual(received, { bytes, sha256: sent })
  }
})

test.serial('many clients, and several ports of one, are called from one port', async (t) => {
  await using faith = await router.create()
  const [one, other] = [await listening(), await listening()]
  const calls = await Promise.all([
    faith.connect({ from, fromPort: 20, to, port: one.port }),
    faith.connect({ from, fromPort: 20, to, port: other.port }),
    faith.connect({ from: captured(addresses.serverSecond), fromPort: 20, to, port: one.port }),
  ])
  t.is(calls.length, 3)
  const again = faith.connect({ from, fromPort: 20, to, port: one.port })
  await t.throwsAsync(again, { code: 'EADDRNOTAVAIL' })
})

test.serial('the kernel chooses a port if the program names none', async (t) => {
  await using faith = await router.create()
  const { port, listener } = await listening()
  const made = [await faith.connect({ from, to, port }), await faith.connect({ from, to, port })]
  const called = [await listener.accept(), await listener.accept()]
  const seen = await Promise.all(called.map(async (one) => `[${from}]:${await one.port()}`))
  t.deepEqual(
    seen,
    made.map(({ facts }) => facts.local),
  )
  t.not(seen[0], seen[1])
})

test.serial('listeners of a port do not take it from connections to clients', async (t) => {
  await using faith = await router.create({ steering: 'on-demand' })
  await faith.listen({ ports: 'all' }, 'here')
  const { port, listener } = await listening()
  // Opens a listening socket for port 20.
  t.is((await client.greeting(captured(), 20)).from, 'here')
  const made = await faith.connect({ from, fromPort: 20, to, port })
  const called = await listener.accept()
  called.says('hello\n')
  t.is(await made.line(), 'hello')
  t.is((await client.greeting(captured(), 20)).from, 'here')
})

test.serial('a connection to a client is spliced to a server', async (t) => {
  await using faith = await router.create()
  const { port, listener } = await listening()
  const made = await faith.connect({ from, fromPort: 20, to, port })
  const called = await listener.accept()
  const ended = made.spliceTo(echo)
  called.says('hello\n')
  await called.hears('hello\n')
  called.ends()
  t.like(await ended, { reason: 'closed', bytesUp: 6, bytesDown: 6 })
  await called.sees('end')
})

test.serial('a client that resets the connection ends its socket', async (t) => {
  await using faith = await router.create()
  const { port, listener } = await listening()
  const made = await faith.connect({ from, to, port })
  const called = await listener.accept()
  called.resets()
  await waitFor('the reset', async () => (await made.happened()).includes('error ECONNRESET'))
  await closes(made)
  t.pass()
})

test.serial('a client that refuses, that no route reaches or that a router forbids', async (t) => {
  await using faith = await router.create()
  const call = (there: string, port: number) =>
    faith.connect({ from, fromPort: 20, to: there, port })
  const refused = await t.throwsAsync(call(to, 7999), { name: 'FaithError', code: 'ECONNREFUSED' })
  t.is(
    refused?.message,
    `cannot connect from [${from}]:20 to [${to}]:7999: Connection refused (os error 111)`,
  )
  await t.throwsAsync(call('2001:db8:99::1', 80), { code: 'ENETUNREACH' })
  const forbids = 'icmpv6 type admin-prohibited'
  await nft(
    lab.router,
    `table inet forbids {
      chain forward {
        type filter hook forward priority filter
        tcp dport 7998 reject with ${forbids}
      }
    }`,
  )
  await t.throwsAsync(call(to, 7998), { code: 'EACCES' })
})

test.serial('a silent client costs the time that the program allows', async (t) => {
  await using faith = await router.create()
  const { port } = await listening()
  const called = await silence(lab.client, port)
  const silent = faith.connect({ from, fromPort: 20, to, port, connectTimeoutMs: 300 })
  await t.throwsAsync(silent, { name: 'FaithError', code: 'ETIMEDOUT' })
  await called()
})

test.serial('an aborted signal ends the connecting, and leaves no socket', async (t) => {
  await using faith = await router.create()
  const { port } = await listening()
  const called = await silence(lab.client, port)
  const making = faith.connect({ from, fromPort: 20, to, port }, 'connecting')
  making.catch(() => undefined)
  await called()
  await router.ask('abortSplices', 'connecting')
  await t.throwsAsync(making, { code: 'ABORT_ERR' })
  await t.throwsAsync(faith.connect({ from, to, port }, 'connecting'), { code: 'ABORT_ERR' })
  // Both ends can have one connection only, so the first attempt is gone.
  const again = faith.connect({ from, fromPort: 20, to, port, connectTimeoutMs: 100 })
  await t.throwsAsync(again, { code: 'ETIMEDOUT' })
})

test.serial('the close of the interface ends the connecting, and the connections', async (t) => {
  await using faith = await router.create()
  const { port } = await listening()
  const called = await silence(lab.client, port)
  const making = faith.connect({ from, fromPort: 20, to, port })
  making.catch(() => undefined)
  const open = await listening()
  const made = await faith.connect({ from, fromPort: 20, to, port: open.port })
  const other = await open.listener.accept()
  await called()
  await faith.close()
  await t.throwsAsync(making, { name: 'FaithError', code: 'ERR_FAITH_CLOSED' })
  await other.sees('ECONNRESET')
  t.deepEqual(await made.happened(), ['error ERR_FAITH_CLOSED', 'close'])
  const late = faith.connect({ from, to, port })
  await t.throwsAsync(late, { name: 'FaithError', code: 'ERR_FAITH_CLOSED' })
})

test.serial('nothing is called while keepfaith is off', async (t) => {
  await using faith = await router.create()
  await router.keepfaith(false)
  const late = faith.connect({ from, to, port: 80 })
  await t.throwsAsync(late, { name: 'FaithError', code: 'ERR_FAITH_KEEPFAITH' })
  await router.keepfaith(true)
})

test.serial(
  'addresses outside the prefixes are no sources, and those inside no clients',
  async (t) => {
    await using faith = await router.create()
    await using other = await router.create({ name: 'faith1', prefixes: ['64:ff9b:1::/48'] })
    await faith.listen({ ports: 'all' }, 'here')
    for (const outside of [addresses.gateway, '::1', '64:ff9b:1::c633:6402', '::']) {
      const code = 'EADDRNOTAVAIL'
      await t.throwsAsync(faith.connect({ from: outside, to, port: 80 }), { code }, outside)
    }
    for (const inside of [
      from,
      '64:ff9b:1::c633:6402',
      '::1',
      '::',
      'ff02::1',
      '::ffff:1.2.3.4',
      'fe80::1',
    ]) {
      const code = 'ERR_FAITH_ARGUMENT'
      const message = `${inside} is no address of a client of faith0`
      await t.throwsAsync(faith.connect({ from, to: inside, port: 80 }), { code, message })
    }
    await other.close()
  },
)

test.serial('malformed options are refused', async (t) => {
  await using faith = await router.create()
  for (const options of [
    { from: '198.51.100.2' },
    { from: 'fe80::1%eth0' },
    { from: undefined },
    { to: 'localhost' },
    { to: '[::1]' },
    { port: 0 },
    { port: 65_536 },
    { fromPort: 0 },
    { fromPort: '20' },
    { connectTimeoutMs: 0 },
    { signal: 'soon' },
    { host: '::1' },
  ]) {
    const call = faith.connect({ from, to, port: 80, ...options } as never)
    await t.throwsAsync(
      call,
      { name: 'FaithError', code: 'ERR_FAITH_ARGUMENT' },
      JSON.stringify(options),
    )
  }
})

test.serial(
  'a forged SYN-ACK gets a reset, and neither makes nor breaks a connection',
  async (t) => {
    await using faith = await router.create()
    const { port, listener } = await listening()
    const watch = await Watch.on(lab.client, 'eth0', port)
    const forge = (sourcePort: number): Promise<unknown> =>
      lab.client.run('python3', [
        syn,
        `--source=${to}`,
        `--address=${from}`,
        `--source-port=${sourcePort}`,
        '--port=20',
        '--options=',
        '--data=',
        '--flags=0x12',
      ])
    const resets = () => watch.seen.filter(({ way, flags }) => way === 'in' && flags === 'R').length
    await forge(port)
    await waitFor('the reset', () => resets() === 1)
    const called = await silence(lab.client, port)
    const making = faith.connect({ from, fromPort: 20, to, port })
    await called()
    await forge(port)
    await waitFor('the next reset', () => resets() === 2)
    await nft(lab.client, `delete table inet silent${port}`)
    const made = await making
    const end = await listener.accept()
    end.says('hello\n')
    t.is(await made.line(), 'hello')
    await watch.stop()
  },
)
