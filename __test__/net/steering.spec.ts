/**
 * The connections that a listener gets, by port and by address. Results are the same if an sk_lookup program steers
 * them or listening sockets are made on demand.
 */
import test from 'ava'
import { addresses, captured, waitFor } from '../../lab/index.js'
import { inPrivateNamespace } from '../fixtures/private-namespace.js'
import { isInitialUserNamespace } from '../fixtures/user-namespace.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()
/**
 * The greeting that a client of `port` gets, with addresses in the notation of RFC 5952, which the kernel's tables use.
 */
const heard = (
  from: string,
  port: number,
  dialled = '64:ff9b::c633:6402',
  ipv4: string = addresses.server,
) => ({
  from,
  dialled: `[${dialled}]:${port}`,
  ipv4,
})
const refused = 'ECONNREFUSED'

test.serial('auto steers by sk_lookup if the kernel permits it, otherwise on demand', async (t) => {
  await using faith = await router.create()
  const { steering } = await faith.stats()
  t.is(steering, isInitialUserNamespace ? 'sk_lookup' : 'on-demand')
})

test.serial('on-demand does not use sk_lookup', async (t) => {
  await using faith = await router.create({ steering: 'on-demand' })
  t.is((await faith.stats()).steering, 'on-demand')
})

/** The open ports in the private namespace of the program's only interface. */
async function openPorts(): Promise<Set<string>> {
  const stdout = await inPrivateNamespace(lab.router, router.process.pid, 'ss -Hltn')
  return new Set(Array.from(stdout.matchAll(/:(\d+)\s/g), ([, port]) => String(port)))
}

test.serial('on demand, a port opens at its first SYN, and at most 512 are open', async (t) => {
  await using faith = await router.create({ steering: 'on-demand' })
  await faith.listen({ ports: 'all' }, 'all')
  t.is((await openPorts()).size, 0)
  await client.greeting(server, 80)
  t.deepEqual(await openPorts(), new Set(['80']))

  const ports = Array.from({ length: 600 }, (_, index) => 1000 + index)
  await client.greetings(server, ports)
  await waitFor('the idlest to be closed', async () => (await openPorts()).size <= 512)
  const open = await openPorts()
  t.is(open.size, 512)
  t.false(open.has('80'), 'the least recently used port is closed')
  t.true(open.has('1599'))
})

for (const steering of ['auto', 'on-demand'] as const) {
  const named = (sentence: string) => `${steering}: ${sentence}`

  test.serial(named('a listener on a port takes that port of every address'), async (t) => {
    await using faith = await router.create({ steering })
    await faith.listen({ port: 80 }, 'web')
    t.deepEqual(await client.greetings(server, [79, 80, 81]), [refused, heard('web', 80), refused])
    t.deepEqual(
      await client.greeting('64:ff9b::ffff:ffff', 80),
      heard('web', 80, '64:ff9b::ffff:ffff', '255.255.255.255'),
    )
    t.deepEqual(await client.greeting('64:ff9b::', 80), heard('web', 80, '64:ff9b::', '0.0.0.0'))
  })

  test.serial(named('a listener on a list takes its ports and no other'), async (t) => {
    await using faith = await router.create({ steering })
    await faith.listen({ ports: [22, 65_535, 1, '443'] }, 'list')
    const ports = [1, 2, 22, 23, 443, 65_534, 65_535]
    const taken = new Set([1, 22, 443, 65_535])
    t.deepEqual(
      await client.greetings(server, ports),
      ports.map((port) => (taken.has(port) ? heard('list', port) : refused)),
    )
  })

  test.serial(named('a listener on ranges takes both their ends'), async (t) => {
    await using faith = await router.create({ steering })
    await faith.listen({ ports: ['8000-8999', 22, '9001-9002'] }, 'ranges')
    const ports = [7999, 8000, 8001, 8500, 8999, 9000, 9001, 9002, 9003, 22]
    const gaps = new Set([7999, 9000, 9003])
    t.deepEqual(
      await client.greetings(server, ports),
      ports.map((port) => (gaps.has(port) ? refused : heard('ranges', port))),
    )
  })

  test.serial(
    named('a listener on all ports takes the first, the last, and any other'),
    async (t) => {
      await using faith = await router.create({ steering })
      await faith.listen({ ports: 'all' }, 'all')
      const ports = [1, 2, 22, 80, 443, 1023, 1024, 32_767, 32_768, 49_152, 65_534, 65_535]
      t.deepEqual(
        await client.greetings(server, ports),
        ports.map((port) => heard('all', port)),
      )
    },
  )

  test.serial(named('more ports than can be open at once all work, repeatedly'), async (t) => {
    await using faith = await router.create({ steering })
    await faith.listen({ ports: 'all' }, 'all')
    // On demand at most 512 ports are open, so the first are closed by the time the last open.
    const ports = Array.from({ length: 640 }, (_, index) => 10_000 + index * 17)
    const answers = ports.map((port) => heard('all', port))
    t.deepEqual(await client.greetings(server, ports), answers)
    t.deepEqual(await client.greetings(server, ports.slice(0, 32)), answers.slice(0, 32))
  })

  test.serial(named('a connection outlives the listening socket that brought it'), async (t) => {
    await using faith = await router.create({ steering })
    await using listener = await faith.listen({ ports: 'all' })
    await using early = await client.dial(server, 9)
    await using accepted = await listener.accept()
    await faith.listen({ ports: 'all', address: captured(addresses.serverSecond) }, 'other')
    const ports = Array.from({ length: 600 }, (_, index) => 20_000 + index)
    const others = await client.greetings(captured(addresses.serverSecond), ports)
    t.true(others.every((answer) => typeof answer === 'object' && answer.from === 'other'))
    await accepted.write('still here\n')
    t.is(await early.line(), 'still here')
  })

  test.serial(
    named('a listener on one address wins over one on all addresses, port by port'),
    async (t) => {
      const address = captured(addresses.serverSecond)
      const exact = '64:ff9b::c633:6403'
      await using faith = await router.create({ steering })
      await faith.listen({ ports: 'all' }, 'any')
      const one = await faith.listen({ ports: [80, '8000-8001'], address }, 'one')
      t.deepEqual(await client.greetings(address, [80, 81, 8000, 8001, 8002]), [
        heard('one', 80, exact, addresses.serverSecond),
        heard('any', 81, exact, addresses.serverSecond),
        heard('one', 8000, exact, addresses.serverSecond),
        heard('one', 8001, exact, addresses.serverSecond),
        heard('any', 8002, exact, addresses.serverSecond),
      ])
      t.deepEqual(await client.greetings(server, [80, 8000]), [
        heard('any', 80),
        heard('any', 8000),
      ])

      await one.close()
      t.deepEqual(
        await client.greeting(address, 80),
        heard('any', 80, exact, addresses.serverSecond),
        'other ports go to the other listener',
      )
    },
  )

  test.serial(named('a listener on one port of one address takes nothing else'), async (t) => {
    const address = captured(addresses.serverSecond)
    await using faith = await router.create({ steering })
    await faith.listen({ port: 80, address }, 'one')
    t.deepEqual(
      await client.greeting(address, 80),
      heard('one', 80, '64:ff9b::c633:6403', addresses.serverSecond),
    )
    t.deepEqual(await client.greetings(address, [81]), [refused])
    t.deepEqual(await client.greetings(server, [80]), [refused])
  })

  test.serial(named('listeners share the ports between them'), async (t) => {
    await using faith = await router.create({ steering })
    await faith.listen({ ports: '1-1023' }, 'low')
    await faith.listen({ ports: '1024-65535' }, 'high')
    t.deepEqual(await client.greetings(server, [1, 1023, 1024, 65_535]), [
      heard('low', 1),
      heard('low', 1023),
      heard('high', 1024),
      heard('high', 65_535),
    ])
  })

  test.serial(named('ports of a closed listener are refused, and free for another'), async (t) => {
    await using faith = await router.create({ steering })
    for (const ports of [[80], ['80-90'], 'all'] as const) {
      const first = await faith.listen({ ports: ports as string[] | 'all' }, 'first')
      t.deepEqual(await client.greeting(server, 80), heard('first', 80))
      await first.close()
      t.deepEqual(await client.greetings(server, [80]), [refused])
      const second = await faith.listen({ ports: ports as string[] | 'all' }, 'second')
      t.deepEqual(await client.greeting(server, 80), heard('second', 80))
      await second.close()
    }
  })

  test.serial(named('many clients at once all reach the port they dialled'), async (t) => {
    await using faith = await router.create({ steering })
    await faith.listen({ ports: '5000-5015' }, 'crowd')
    const ports = Array.from({ length: 320 }, (_, index) => 5000 + (index % 16))
    t.deepEqual(
      await client.greetings(server, ports),
      ports.map((port) => heard('crowd', port)),
    )
  })
}
