/** Programs of Debian over UDP through the relay. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, createLab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'

const dnsProgram = fileURLToPath(new URL('../programs/dns-server.py', import.meta.url))
const ntpProgram = fileURLToPath(new URL('../programs/ntp-server.py', import.meta.url))

const lab = await createLab()
const faithd = await startFaithd(lab, permitted)
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

test('dnsperf gets an answer to each of many queries', async (t) => {
  const server = lab.server.spawn('python3', [dnsProgram, addresses.server])
  await server.line(/^ready/)
  const queries = join(lab.directory, 'queries')
  writeFileSync(queries, 'www.example.net TXT\nexample.net TXT\n')
  // Four clients with ten queries each on the way, 1000 times through the file.
  const load = ['-d', queries, '-n', '1000', '-c', '4', '-q', '40', '-t', '30']
  const { stdout } = await lab.client.run('dnsperf', ['-s', faithd.address(), ...load], {
    timeout: 90_000,
  })
  t.regex(stdout, /Queries sent: +2000\n/)
  t.regex(stdout, /Queries completed: +2000 \(100\.00%\)/, stdout)
  t.regex(stdout, /Response codes: +NOERROR 2000 /)
})

test('a tunnel of openvpn carries packets of every length', async (t) => {
  const key = join(lab.directory, 'key')
  t.is((await lab.server.run('openvpn', ['--genkey', 'secret', key])).code, 0)
  const [here, there] = ['10.8.0.2', '10.8.0.1']
  const both = `--dev tun1 --secret ${key} --cipher AES-256-CBC --ping 1`
  const openvpn = (options: string): [string, string[]] => [
    'openvpn',
    `${both} ${options}`.split(' '),
  ]
  const local = `--proto udp4 --local ${addresses.server} --ifconfig ${there} ${here}`
  lab.server.spawn(...openvpn(local))
  const remote = `--proto udp6 --nobind --remote ${faithd.address()} 1194`
  const client = lab.client.spawn(...openvpn(`${remote} --ifconfig ${here} ${there}`))
  await client.line(/Initialization Sequence Completed/)
  for (const size of ['56', '1400', '8000']) {
    // The server may not be ready for the first.
    const args = ['-n', '-c', '3', '-i', '0.2', '-w', '30', '-s', size, there]
    const { stdout } = await lab.client.run('ping', args, { timeout: 60_000 })
    t.regex(stdout, /3 received/, stdout)
  }
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
