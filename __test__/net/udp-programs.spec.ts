/** Programs of Debian over UDP through the relay. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, createLab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'

const ntpProgram = fileURLToPath(new URL('../programs/ntp-server.py', import.meta.url))

const lab = await createLab()
const faithd = await startFaithd(lab, [...permitted, '--protocols', 'tcp,udp'])
test.after.always(() => lab.close())

test('tftp reads and writes files, whose packets come from another port than the server’s', async (t) => {
  const folder = join(lab.directory, 'tftp')
  mkdirSync(folder, { mode: 0o777 })
  const text = Array.from({ length: 5000 }, (_, index) => `line ${index}`).join('\n')
  writeFileSync(join(folder, 'file'), text, { mode: 0o644 })
  writeFileSync(join(folder, 'written'), '', { mode: 0o666 })
  const address = `${addresses.server}:69`
  const args = ['--foreground', '--address', address, '--user', 'root', '--secure', folder]
  lab.server.spawn('/usr/sbin/in.tftpd', ['--permissive', ...args])
  const url = `tftp://[${faithd.address()}]`
  // The server may not listen yet: curl asks again as TFTP does.
  const curl = (...more: string[]) =>
    lab.client.run('curl', ['-sS', '--max-time', '60', ...more], { timeout: 90_000 })
  const read = await curl(`${url}/file`)
  t.is(read.stderr, '')
  t.is(read.stdout, text)
  const sent = join(lab.directory, 'sent')
  writeFileSync(sent, text)
  const written = await curl('-T', sent, `${url}/written`)
  t.is(written.stderr, '')
  t.is(readFileSync(join(folder, 'written'), 'utf8'), text)
})

test('ntpdig learns the time of a server', async (t) => {
  const hour = 3600
  const server = lab.server.spawn('python3', [ntpProgram, addresses.server, `${hour}`])
  await server.line(/^ready/)
  const args = ['--json', '--timeout', '20', faithd.address()]
  const { stdout, stderr } = await lab.client.run('ntpdig', args, { timeout: 60_000 })
  t.is(stderr, '')
  const { offset, stratum } = JSON.parse(stdout) as { offset: number; stratum: number }
  t.is(stratum, 1)
  t.true(Math.abs(offset - hour) < 10, `${offset}`)
})

for (const [direction, more] of [
  ['up', []],
  ['down', ['--reverse']],
] as const) {
  test.serial(`iperf3 sends datagrams ${direction}, and they arrive`, async (t) => {
    const port = direction === 'up' ? '5201' : '5202'
    const server = lab.server.spawn('iperf3', [
      '--server',
      '--one-off',
      '--port',
      port,
      '--forceflush',
    ])
    await server.line(/listening/)
    const load = ['--udp', '--bitrate', '10M', '--time', '1', '--length', '1200', ...more]
    const args = ['--json', '--port', port, '--client', faithd.address(), ...load]
    const { stdout } = await lab.client.run('iperf3', args, { timeout: 60_000 })
    const { end, error } = JSON.parse(stdout) as {
      error?: string
      end: { sum?: { packets: number; lost_packets: number } }
    }
    t.is(error, undefined)
    const { packets, lost_packets: lost } = end.sum ?? { packets: 0, lost_packets: 0 }
    t.true(packets > lost, `${lost} of ${packets} lost`)
  })
}
