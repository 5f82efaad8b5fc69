/** QUIC through the relay of datagrams. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab } from '../../lab/index.js'
import { aioquicFolder } from '../../scripts/pip.mjs'
import { permitted, startFaithd } from '../fixtures/faithd.js'

const quic = fileURLToPath(new URL('../programs/quic.py', import.meta.url))
const env = { ...process.env, PYTHONPATH: aioquicFolder }

test('QUIC streams arrive byte for byte, and go on when the client gets another port', async (t) => {
  await using lab = await createLab()
  await lab.server
    .spawn('python3', [quic, 'serve', addresses.server, '4433'], { env })
    .line(/ready/)
  const faithd = await startFaithd(lab, permitted)
  const args = [quic, 'echo', faithd.address(), '4433', '3', '300000']
  const { stdout, stderr } = await lab.client.run('python3', args, { env, timeout: 120_000 })
  t.is(stderr, '')
  t.deepEqual(JSON.parse(stdout), { same: [true, true, true, true], moved: true })
  await faithd.stop()
  const ports = faithd.sessions.filter(({ protocol }) => protocol === 'udp')
  t.is(new Set(ports.map(({ client }) => client.port)).size, 2, 'a session for each port')
})
