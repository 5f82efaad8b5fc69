/** The prefixes of an interface: reading addresses inside them, adding and deleting them. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { settled } from '../../fixtures/remains.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
test.before(() => settled(lab.router))

const server = captured()

// Examples of RFC 6052, section 2.4, for each length, in the notation of RFC 5952. Only /32 differs: the lab's own
// addresses are inside 2001:db8::/32.
const lengths: [prefix: string, dialled: string][] = [
  ['3fff:db8::/32', '3fff:db8:c000:221::'],
  ['2001:db8:100::/40', '2001:db8:1c0:2:21::'],
  ['2001:db8:122::/48', '2001:db8:122:c000:2:2100::'],
  ['2001:db8:122:300::/56', '2001:db8:122:3c0:0:221::'],
  ['2001:db8:122:344::/64', '2001:db8:122:344:c0:2:2100:0'],
  ['2001:db8:122:344::/96', '2001:db8:122:344::c000:221'],
]

for (const [prefix, dialled] of lengths) {
  test.serial(`${prefix} is captured, with the IPv4 address where RFC 6052 has it`, async (t) => {
    await using faith = await router.create({ prefixes: [prefix] })
    await using listener = await faith.listen({ port: 80 })
    await using connection = await client.dial(dialled, 80)
    const accepted = await listener.accept()
    t.deepEqual(accepted.facts.destination, {
      address: dialled,
      port: 80,
      ipv4: '192.0.2.33',
      ipv4Port: 80,
      prefix,
      interface: 'faith0',
    })
    t.like(await connection.look(), { remote: { address: dialled, port: 80 } })
  })
}

test.serial('one interface can have several prefixes', async (t) => {
  const prefixes = ['64:ff9b::/96', '64:ff9b:1::/48', '2001:db8:100::/40']
  await using faith = await router.create({ prefixes })
  await faith.listen({ port: 80 }, 'here')
  t.deepEqual((await faith.prefixes()).toSorted(), prefixes.toSorted())
  t.like(await client.greeting(server, 80), { ipv4: addresses.server })
  t.like(await client.greeting('64:ff9b:1:c000:2:2100::', 80), { ipv4: '192.0.2.33' })
  t.like(await client.greeting('2001:db8:1c0:2:21::', 80), { ipv4: '192.0.2.33' })
})

test.serial('an added prefix is captured, and a deleted one no longer', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'here')
  const address = '64:ff9b:1:c000:2:2100::'
  await t.throwsAsync(client.dial(address, 80), { code: 'ENETUNREACH' })

  await faith.addPrefix('64:ff9b:1::/48')
  t.deepEqual((await faith.prefixes()).toSorted(), ['64:ff9b:1::/48', '64:ff9b::/96'].toSorted())
  t.like(await client.greeting(address, 80), { from: 'here', ipv4: '192.0.2.33' })

  await faith.deletePrefix('64:ff9b:1::/48')
  t.deepEqual(await faith.prefixes(), ['64:ff9b::/96'])
  await t.throwsAsync(client.dial(address, 80), { code: 'ENETUNREACH' })
  t.like(await client.greeting(server, 80), { from: 'here' })

  await faith.addPrefix('64:ff9b:1::/48')
  t.like(await client.greeting(address, 80), { from: 'here' }, 'the prefix is captured again')
})

test.serial('a transfer is undisturbed by changes of other prefixes', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(server, 80)
  await using accepted = await listener.accept()

  // Sends more pieces while the prefixes change, so that the transfer lasts as long as the changes.
  const progress = { changing: true, pieces: 0 }
  const bytes = 2 ** 20
  const transfer = (async () => {
    while (progress.changing) {
      const piece = (progress.pieces += 1)
      const [up, upArrived, down, downArrived] = await Promise.all([
        dialled.send(`up ${piece}`, bytes),
        accepted.receive(bytes),
        accepted.send(`down ${piece}`, bytes),
        dialled.receive(bytes),
      ])
      t.deepEqual(upArrived, { bytes, sha256: up })
      t.deepEqual(downArrived, { bytes, sha256: down })
    }
  })()
  for (let round = 0; round < 10; round += 1) {
    const begun = progress.pieces
    await faith.addPrefix('64:ff9b:1::/48')
    await waitFor('another piece', () => progress.pieces > begun)
    await faith.deletePrefix('64:ff9b:1::/48')
  }
  progress.changing = false
  await transfer
  t.true(progress.pieces > 10)
  const { drops } = await faith.stats()
  t.is(drops['outbound'], 0)
})

test.serial('a connection inside a deleted prefix stalls', async (t) => {
  await using faith = await router.create({
    routes: false,
    prefixes: ['64:ff9b::/96', '64:ff9b:1::/48'],
  })
  for (const routed of ['64:ff9b::/32', '64:ff9b:1::/48']) {
    const { code } = await lab.router.run('ip', ['-6', 'route', 'add', routed, 'dev', 'faith0'])
    t.is(code, 0)
  }
  await using listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(server, 80)
  await using accepted = await listener.accept()
  await dialled.write('one\n')
  t.is(await accepted.line(), 'one')

  const before = await faith.stats()
  await faith.deletePrefix('64:ff9b::/96')
  await dialled.write('two\n')
  await waitFor('the segment to be dropped', async () => {
    const { drops } = await faith.stats()
    return (drops['martian'] ?? 0) > (before.drops['martian'] ?? 0)
  })
  t.like(await accepted.look(), { bytesRead: 'one\n'.length })
})
