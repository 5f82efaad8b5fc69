/** Tests examples/dns-server.mjs. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, captured, createLab } from '../../lab/index.js'
import { startExample } from '../fixtures/examples.js'

const clientProgram = fileURLToPath(new URL('../programs/udp-client.py', import.meta.url))

const lab = await createLab()
test.after.always(() => lab.close())

/** Asks by dig, once, over UDP. */
async function dig(server: string, type: string, ...more: string[]): Promise<string> {
  const args = [`@${server}`, '+notcp', '+tries=1', '+timeout=20', ...more, 'any.example', type]
  const { code, stdout, stderr } = await lab.client.run('dig', args, { timeout: 60_000 })
  if (code !== 0) throw new Error(`${stdout}${stderr}`)
  return stdout.trim()
}

test.serial('every address of every prefix answers with itself', async (t) => {
  await using server = await startExample(lab.router, 'dns-server', [
    '64:ff9b::/96',
    '2001:db8:64::/96',
  ])
  for (const [address, inShort, ipv4] of [
    [captured(), '64:ff9b::c633:6402', addresses.server],
    [captured('203.0.113.7'), '64:ff9b::cb00:7107', '203.0.113.7'],
    ['2001:db8:64::192.0.2.1', '2001:db8:64::c000:201', '192.0.2.1'],
  ] as const) {
    // dig takes no answer that comes from another address.
    t.is(await dig(address, 'AAAA', '+short'), inShort)
    t.is(await dig(address, 'A', '+short'), ipv4)
    t.is(await dig(address, 'TXT', '+short'), `"${addresses.client}"`)
  }
  t.like(await server.process.stop('SIGTERM'), { code: 0 })
})

test.serial(
  'other types have no answer, and other kinds of requests are not implemented',
  async (t) => {
    await using server = await startExample(lab.router, 'dns-server')
    t.regex(await dig(captured(), 'MX'), /status: NOERROR.*ANSWER: 0/s)
    t.regex(await dig(captured(), 'A', '+opcode=status'), /status: NOTIMP/)
    t.like(await server.process.stop('SIGTERM'), { code: 0 })
  },
)

test.serial(
  'another port serves, and malformed queries get no answer and end nothing',
  async (t) => {
    await using server = await startExample(lab.router, 'dns-server', ['--port', '5300'])
    const to = [captured(), 5300]
    const malformed = ['', 'short', '............', `..\u0001...........?`, `${'.'.repeat(600)}`]
    const steps = malformed.map((send) => ({ to, send, wait: 0 }))
    const args = [clientProgram, JSON.stringify({ steps })]
    t.is((await lab.client.run('python3', args)).code, 0)
    t.is(await dig(captured(), 'A', '+short', '-p', '5300'), addresses.server)
    t.like(await server.process.stop('SIGTERM'), { code: 0 })
  },
)
