/** Ports of datagrams from the blocks of clients. */
import test from 'ava'

import { addresses, createLab } from '../../lab/index.js'
import { first, serveDatagrams, takeSteps } from '../fixtures/datagrams.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'

const SIZE = 16

test('datagrams of a client come from its block of ports, until that is full', async (t) => {
  await using lab = await createLab()
  await serveDatagrams(lab)
  const blocks = ['--port-block', `${SIZE}`, '--port-blocks-per-client', '1']
  const source = ['--source', addresses.routerIPv4]
  const faithd = await startFaithd(lab, [...permitted, ...source, ...blocks])
  const to: [string, number] = [faithd.address(), first]
  const sockets = Array.from({ length: SIZE + 1 }, (_, socket) => socket)
  const steps = [...sockets, 0].map((socket) => ({ socket, to, send: 'who' }))
  const answers = await takeSteps(lab, steps, sockets.length)
  const ports = answers.map(({ data = '' }) => Number(data.split(' ')[1]))
  const [last, again] = ports.splice(SIZE)
  const least = Math.min(...ports)
  t.is(new Set(ports).size, SIZE)
  t.true(
    ports.every((port) => port < least + SIZE),
    String(ports),
  )
  t.is(answers[SIZE]?.error, 'EHOSTUNREACH', `${last}`)
  t.is(again, ports[0], 'and the ports that it has go on')
})
