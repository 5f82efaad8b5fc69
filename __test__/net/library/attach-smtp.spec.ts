/** An SMTP server from npm (smtp-server) takes mail for every address of a prefix. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, captured, createLab, waitFor } from '../../../lab/index.js'
import { generate } from '../../../lab/programs/stream.js'
import type { Closed, Message } from '../../programs/mail-server.js'

const program = fileURLToPath(new URL('../../programs/mail-server.ts', import.meta.url))

const lab = await createLab()
test.after.always(() => lab.close())

/** A message of some MiB with every byte that a line may have. Some lines begin with a dot, which SMTP must escape. */
function letter(): Buffer {
  const body = Buffer.concat([...generate('letter', 4 << 20)])
  for (const [index, byte] of body.entries()) {
    if (byte === 0x0a || byte === 0x0d || byte === 0) body[index] = 0x2e
  }
  for (let at = 100; at < body.length; at += 100) body.write('\r\n', at, 'latin1')
  return Buffer.concat([
    Buffer.from('Subject: lines\r\n\r\n.\r\n..\r\n'),
    body,
    Buffer.from('\r\n'),
  ])
}

const message = letter()
const file = join(lab.directory, 'message')
writeFileSync(file, message)

/** Starts the program with the servers, in the router. */
async function attached() {
  const server = lab.router.node(program)
  await server.line(/^ready$/)
  const told = () =>
    server.lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Message | Closed)
  const stop = async () => void (await server.stop('SIGKILL'))
  return { told, [Symbol.asyncDispose]: stop }
}

/** Sends the message with curl. */
async function mail(url: string, ...options: string[]): Promise<void> {
  const envelope = ['--mail-from', 'me@faith.example', '--mail-rcpt', 'you@faith.example']
  const args = ['-sS', '--insecure', '--max-time', '15', ...envelope, '-T', file, ...options, url]
  const { code, stderr } = await lab.client.run('curl', args)
  if (code !== 0) throw new Error(`curl ${url}: ${code}: ${stderr}`)
}

const destinations = [
  { ipv4: addresses.server, address: '64:ff9b::c633:6402' },
  { ipv4: '203.0.113.7', address: '64:ff9b::cb00:7107' },
]

for (const [how, scheme, port, options, secure] of [
  ['in the clear', 'smtp', 25, [], false],
  ['over STARTTLS', 'smtp', 25, ['--ssl-reqd'], true],
  ['over TLS from the start', 'smtps', 465, [], true],
] as const) {
  test.serial(`mail arrives byte for byte, and the dialled address is known, ${how}`, async (t) => {
    await using server = await attached()
    for (const { ipv4, address } of destinations) {
      const before = server.told().length
      await mail(`${scheme}://[${captured(ipv4)}]:${port}`, ...options)
      await waitFor('the end of the session', () => server.told().length === before + 2)
      const destination = {
        address,
        port,
        ipv4,
        ipv4Port: port,
        prefix: '64:ff9b::/96',
        interface: 'faith0',
      }
      t.deepEqual(server.told().slice(before), [
        {
          bytes: message.length,
          sha256: createHash('sha256').update(message).digest('hex'),
          from: 'me@faith.example',
          to: ['you@faith.example'],
          secure,
          destination,
          ...(secure && { bySocket: destination }),
        },
        { closed: true, known: false },
      ])
    }
  })
}
