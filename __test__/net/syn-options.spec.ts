/** Options and data of a SYN: a held SYN reaches the kernel unchanged. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { permitted, startBoth, startFaithd, steerings } from '../fixtures/faithd.js'
import type { Faithd, Steering } from '../fixtures/faithd.js'
import { Watch, isSyn, isSynAck } from '../fixtures/segments.js'
import type { Segment } from '../fixtures/segments.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

const send = fileURLToPath(new URL('../programs/syn.py', import.meta.url))

let lab: Lab
let faithds: Record<Steering, Faithd>
let server: Sockets

test.before(async () => {
  lab = await createLab()
  server = Sockets.of(lab.server)
  faithds = await startBoth(lab)
})

test.after.always(() => lab.close())

let ports = 7900

function freshPort(): number {
  ports += 1
  return ports
}

/** Sets how the client's kernel connects, for the following tests. */
async function set(host: Host, ...settings: string[]): Promise<void> {
  const { code, stderr } = await host.run('sysctl', ['-qw', ...settings])
  if (code !== 0) throw new Error(stderr)
}

/** Connects, sends a word, and stays until it is killed. */
const talking = `
import socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
client.sendall(b"hello")
client.recv(1)
`

const early = 'early words, '

/** Sends in its SYN as much as the kernel allows, then the rest, and prints the answer. */
const hurried = `
import socket, sys
client = socket.socket(socket.AF_INET6)
client.sendto(b"${early}", socket.MSG_FASTOPEN, (sys.argv[1], int(sys.argv[2])))
client.sendall(b"and the rest")
client.shutdown(socket.SHUT_WR)
print(client.makefile().read())
`

/** A connection through faithd after its first word, as ss(8) shows it on the client. */
async function view(faithd: Faithd): Promise<{ ss: string; synAck: Segment; syn: Segment }> {
  const port = freshPort()
  const listening = await server.listen(port)
  const watch = await Watch.on(lab.client, 'eth0', port)
  const python = lab.client.spawn('python3', ['-c', talking, faithd.address(), String(port)])
  await (await listening.accept()).hears('hello')
  const { stdout } = await lab.client.run('ss', ['-Htino', `dport = :${port}`])
  const synAck = await watch.sees(isSynAck)
  const syn = await watch.sees(isSyn)
  await Promise.all([watch.stop(), python.stop('SIGKILL')])
  return { ss: stdout, synAck, syn }
}

/** The maximum segment size of a SYN (RFC 9293 section 3.2). */
function segmentSize({ options }: Segment): number {
  const [, size] = /^0204([0-9a-f]{4})/.exec(options) ?? []
  return Number(`0x${size}`)
}

/** Sets the MTU of the router's links. */
async function narrow(mtu: number): Promise<void> {
  for (const device of ['lan0', 'wan0']) {
    const { code, stderr } = await lab.router.run('ip', ['link', 'set', device, 'mtu', String(mtu)])
    if (code !== 0) throw new Error(stderr)
  }
}

for (const [steering, too] of steerings) {
  test.serial(
    `window scale, SACK, timestamps and MSS are negotiated with a held SYN${too}`,
    async (t) => {
      const { ss } = await view(faithds[steering])
      t.regex(ss, /\bts\b/)
      t.regex(ss, /\bsack\b/)
      t.regex(ss, /\bwscale:[1-9]\d*,[1-9]/)
      t.regex(ss, /\bmss:1[34]\d\d\b/)
    },
  )

  test.serial(`the MSS offered to clients follows the host’s link MTU${too}`, async (t) => {
    const { synAck } = await view(faithds[steering])
    // The lab's links have an MTU of 1500, faithd's own devices 65535.
    t.is(segmentSize(synAck), 1440)
  })

  test.serial(`options that a client does not offer are not used${too}`, async (t) => {
    const off = ['tcp_window_scaling', 'tcp_sack', 'tcp_timestamps'].map(
      (name) => `net.ipv4.${name}`,
    )
    await set(lab.client, ...off.map((name) => `${name}=0`))
    const { ss } = await view(faithds[steering])
    await set(lab.client, ...off.map((name) => `${name}=1`))
    t.notRegex(ss, /\b(?:ts|sack|wscale:)/)
    t.regex(ss, /\bmss:1[34]\d\d\b/)
  })

  test.serial(`ECN is used if the client asks for it, and only then${too}`, async (t) => {
    await set(lab.client, 'net.ipv4.tcp_ecn=1')
    const asked = await view(faithds[steering])
    await set(lab.client, 'net.ipv4.tcp_ecn=2')
    const plain = await view(faithds[steering])
    t.is(asked.syn.flags, 'SEC')
    t.is(asked.synAck.flags, 'SAE')
    t.regex(asked.ss, /\becn\b/)
    t.is(plain.syn.flags, 'S')
    t.is(plain.synAck.flags, 'SA')
    t.notRegex(plain.ss, /\becn\b/)
  })

  test.serial(
    `a held SYN is passed on byte for byte, with unknown options and data${too}`,
    async (t) => {
      const faithd = faithds[steering]
      const port = freshPort()
      await server.listen(port)
      const inside = await Watch.inside(lab.router, faithd, port)
      const outside = await Watch.on(lab.client, 'eth0', port)
      // MSS, window scale, SACK permitted, timestamps; an experiment (RFC 6994), an unknown kind, padding.
      const options = '020405a0010303050402080a0000123400000000fd0412abc804dead01010101'
      const words = Buffer.from('early words').toString('hex')
      const asked = {
        source: addresses.client,
        address: faithd.address(),
        port,
        'source-port': 23456,
        options,
        data: words,
        // SYN, ECE and CWR.
        flags: '0xc2',
      }
      const flags = Object.entries(asked).flatMap(([name, value]) => [`--${name}`, String(value)])
      const { code, stderr } = await lab.client.run('python3', [send, ...flags])
      t.is(code, 0, stderr)
      const [sent, shown] = [await outside.sees(isSyn), await inside.sees(isSyn)]
      t.deepEqual({ ...shown, at: sent.at, way: sent.way }, sent)
      t.is(shown.options, options)
      t.is(shown.data, words)
      // The kernel takes the SYN and drops the data, which the client must send again.
      const synAck = await outside.sees(isSynAck)
      t.is(synAck.ack, sent.seq + 1)
      await Promise.all([inside.stop(), outside.stop()])
    },
  )

  for (const [when, cookieless] of [
    ['which asks for a cookie', false],
    ['with data in it', true],
  ] as const) {
    test.serial(`a SYN for Fast Open, ${when}, neither loses nor doubles data${too}`, async (t) => {
      // 4: sends data in the SYN even without a cookie.
      await set(lab.client, `net.ipv4.tcp_fastopen=${cookieless ? 5 : 1}`)
      const faithd = faithds[steering]
      const port = freshPort()
      const listening = await server.listen(port)
      const watch = await Watch.on(lab.client, 'eth0', port)
      const python = lab.client.spawn('python3', ['-c', hurried, faithd.address(), String(port)])
      const far = await listening.accept()
      await far.hears(`${early}and the rest`)
      await far.sees('end')
      far.says('bye')
      far.ends()
      t.is((await python.exited).code, 0, python.output)
      t.is(python.stdout, 'bye\n')

      const syn = await watch.sees(isSyn)
      t.is(Buffer.from(syn.data, 'hex').toString('latin1'), cookieless ? early : '')
      if (!cookieless) t.regex(syn.options, /2202/)
      await watch.stop()
      t.like(await faithd.sessionTo(port), {
        bytesUp: early.length + 'and the rest'.length,
        bytesDown: 3,
        reason: 'closed',
      })
      t.is(listening.accepted, 1)
    })
  }

  test.serial(`the data of a held SYN waits for a slow server${too}`, async (t) => {
    await set(lab.client, 'net.ipv4.tcp_fastopen=5')
    const faithd = faithds[steering]
    const port = freshPort()
    await nft(
      lab.server,
      `table inet slow${port} {
        counter ignored {}
        chain input {
          type filter hook input priority filter
          tcp dport ${port} counter name ignored drop
        }
      }`,
    )
    const listening = await server.listen(port)
    const watch = await Watch.on(lab.client, 'eth0', port)
    const python = lab.client.spawn('python3', ['-c', hurried, faithd.address(), String(port)])
    await waitFor('the SYN to be repeated', () => watch.seen.filter(isSyn).length >= 2)
    t.false(watch.seen.some(isSynAck))
    await nft(lab.server, `delete table inet slow${port}`)
    const far = await listening.accept()
    await far.hears(`${early}and the rest`)
    far.ends()
    t.is((await python.exited).code, 0, python.output)
    await watch.stop()
    t.is(listening.accepted, 1)
  })
}

test.serial('the offered MSS follows links below Ethernet’s 1500 bytes', async (t) => {
  // Existing devices, including faithd's, keep their larger MTU.
  await narrow(1400)
  const place = { name: 'faith9', prefix: '3fff:69::' }
  const { synAck } = await view(await startFaithd(lab, permitted, 'by itself', place))
  await narrow(1500)
  t.is(segmentSize(synAck), 1340)
})

test.serial('--mtu bounds the segments of both directions', async (t) => {
  const place = { name: 'faith8', prefix: '3fff:68::' }
  const faithd = await startFaithd(lab, [...permitted, '--mtu', '1300'], 'by itself', place)
  const port = freshPort()
  const listening = await server.listen(port)
  const watch = await Watch.on(lab.client, 'eth0', port)
  const near = Sockets.of(lab.client).dial(faithd.address(), port)
  const far = await listening.accept()
  t.is(segmentSize(await watch.sees(isSynAck)), 1240)
  const long = 'all of it, '.repeat(1000)
  far.says(long)
  await near.hears(long)
  const { stdout } = await lab.client.run('ss', ['-Htino', `dport = :${port}`])
  // Both segment sizes, without the 12 bytes of timestamps.
  t.regex(stdout, /\bmss:1228\b/)
  t.regex(stdout, /\brcvmss:1228\b/)
  await watch.stop()
})
