/** Fields of the headers of datagrams: checksums, and whether routers may fragment them. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { createLab, waitFor } from '../../lab/index.js'
import { first, serveDatagrams, takeSteps } from '../fixtures/datagrams.js'
import { type Faithd, permitted, startFaithd } from '../fixtures/faithd.js'
import { nft, packets } from '../fixtures/nft.js'

const fragmentsProgram = fileURLToPath(new URL('../programs/udp-fragments.py', import.meta.url))

test('routers may fragment datagrams of 1260 octets, longer ones only if they came in fragments', async (t) => {
  await using lab = await createLab()
  await serveDatagrams(lab)
  const faithd = await startFaithd(lab, permitted)
  const seen = 'inet seen'
  await nft(
    lab.server,
    `table ${seen} {
      counter whole {}
      counter may {}
      chain input {
        type filter hook input priority filter
        udp dport ${first} ip frag-off & 0x4000 != 0 counter name whole accept
        udp dport ${first} counter name may
      }
    }`,
  )
  const to: [string, number] = [faithd.address(), first]
  const counts = async () => [
    await packets(lab.server, seen, 'whole'),
    await packets(lab.server, seen, 'may'),
  ]
  // 1232 octets of data are 1260 of IPv4. 1472 come in two fragments of IPv6, and fit into one packet of IPv4.
  for (const [fill, expected] of [
    [5, [0, 1]],
    [1232, [0, 2]],
    [1233, [1, 2]],
    [1452, [2, 2]],
    [1472, [2, 3]],
  ] as const) {
    const [echo] = await takeSteps(lab, [{ to, send: 'echo ', fill }])
    t.true(echo?.same, `${fill}`)
    t.deepEqual(await counts(), expected, `${fill}`)
  }
})

test('datagrams of servers without a checksum get one, and those with a wrong one are dropped', async (t) => {
  await using lab = await createLab()
  await serveDatagrams(lab)
  const faithd = await startFaithd(lab, permitted)
  const to: [string, number] = [faithd.address(), first]
  const answers = await takeSteps(lab, [
    { to, send: 'unsummed' },
    // The kernel verifies short ones before it looks for their socket, and counts them for the host alone.
    { to, send: 'damaged ', fill: 20, wait: 0 },
    { to, send: 'damaged ', fill: 300, wait: 0 },
    { to, send: 'echo last' },
  ])
  // The client's kernel takes no datagram whose checksum is wrong or missing.
  t.is(answers[0]?.data, 'unsummed')
  t.is(answers[3]?.data, 'echo last', 'the damaged ones, which came before this, are gone')
  t.is((await faithd.counted()).relay.udp?.dropped, 1)
})

test('fragments that make up a damaged datagram, or none, reach no server and are counted', async (t) => {
  await using lab = await createLab()
  await serveDatagrams(lab)
  const faithd = await startFaithd(lab, permitted)
  const lone = 40
  const sent = await lab.client.run('python3', [
    fragmentsProgram,
    faithd.address(),
    String(first),
    String(lone),
  ])
  t.is(sent.stderr, '')
  const to: [string, number] = [faithd.address(), first]
  const heard = async () => {
    const [answer] = await takeSteps(lab, [{ to, send: 'heard' }])
    return Number(answer?.data)
  }
  await waitFor('the sound datagram', async () => (await heard()) > 0)
  // A network has room for 32 incomplete datagrams, which wait for their rest for a while.
  await waitFor('the lone fragments', fragmentsOf(faithd, lone), { timeout: 60_000 })
  t.is(await heard(), 1)
  const { drops } = (await faithd.counted()).interface
  t.deepEqual([drops.checksum, drops.fragment], [1, lone])
})

/** Tells whether faithd counts so many fragments as dropped, by its answers to SIGUSR2. */
function fragmentsOf(faithd: Faithd, count: number): () => boolean {
  let asked = 0
  return () => {
    const told = faithd.log.flatMap(({ status }) => (status === undefined ? [] : [status]))
    if (told.length === asked) {
      asked += 1
      faithd.process.kill('SIGUSR2')
    }
    return (told.at(-1)?.interfaces[0]?.drops['fragment'] ?? 0) >= count
  }
}
