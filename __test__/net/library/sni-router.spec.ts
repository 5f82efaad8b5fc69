/** Tests examples/sni-router.mjs. */
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured, createLab, waitFor, type LabProcess } from '../../../lab/index.js'
import { startExample } from '../../fixtures/examples.js'
import { Sockets } from '../../fixtures/sockets.js'

const lab = await createLab()
test.after.always(() => lab.close())

const strangers = Sockets.of(lab.client)
const router = (named: Map<string, number>) => {
  const args = [...named].map(([name, port]) => `${name}=${addresses.server}:${port}`)
  return startExample(lab.router, 'sni-router', args)
}

/** TLS servers, each with a certificate for its own name. */
const named = new Map([
  ['blue.example', 4433],
  ['green.example', 4434],
])

const serve = `
  const { readFileSync } = require('node:fs')
  const [key, cert, port] = process.argv.slice(1)
  const identity = { key: readFileSync(key), cert: readFileSync(cert) }
  require('node:tls').createServer(identity, (socket) => {
    socket.on('error', () => undefined).pipe(socket)
  }).listen(port, () => console.log('listening'))`

test.before(async () => {
  for (const [name, port] of named) {
    const [key, cert] = [join(lab.directory, `${name}.key`), join(lab.directory, `${name}.cert`)]
    const files = ['-keyout', key, '-out', cert, '-subj', `/CN=${name}`]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
    const made = await lab.client.run('openssl', ['req', '-x509', '-nodes', ...curve, ...files])
    if (made.code !== 0) throw new Error(made.stderr)
    const server = lab.server.spawn(process.execPath, ['-e', serve, key, cert, String(port)])
    await server.line(/^listening$/)
  }
})

/**
 * A client that prints the name in the server's certificate, and then the answers to its input lines. With `split` it
 * sends half of its ClientHello first, and the rest with the first line.
 */
const talk = `
  const { connect } = require('node:net')
  const { Duplex } = require('node:stream')
  const [host, servername, split] = process.argv.slice(1)
  const raw = connect(443, host).setNoDelay()
  let sent = 0
  const stream = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      sent += 1
      if (sent > 1 || !split) return void raw.write(chunk, done)
      const half = chunk.length >> 1
      raw.write(chunk.subarray(0, half), () => console.log('half'))
      process.stdin.once('data', () => raw.write(chunk.subarray(half), done))
    },
  })
  raw.on('data', (chunk) => stream.push(chunk)).on('end', () => stream.push(null))
  const quit = ({ code }) => { console.log(code); process.exit() }
  raw.on('error', quit)
  const tls = require('node:tls').connect({ socket: stream, servername, rejectUnauthorized: false })
  tls.on('error', quit).on('secureConnect', () => {
    console.log('met ' + tls.getPeerCertificate().subject.CN)
    process.stdin.pipe(tls).pipe(process.stdout)
  })`

function talks(name: string, split?: 'split'): LabProcess {
  const args = [captured(), name, ...(split ? [split] : [])]
  return lab.client.spawn(process.execPath, ['-e', talk, ...args])
}

async function echoes(asking: LabProcess, line: string): Promise<void> {
  asking.stdin.write(`${line}\n`)
  await asking.line(new RegExp(`^${line}$`))
}

test.serial('each client reaches the server of its SNI name, or is reset', async (t) => {
  const silent = new Map([
    ['blue.example', 4431],
    ['green.example', 4432],
  ])
  const servers = Sockets.of(lab.server)
  await using example = await router(silent)
  for (const [name, port] of silent) {
    const listening = await servers.listen(port)
    const asking = talks(name)
    const server = await listening.accept()
    await waitFor('the ClientHello', async () => (await server.status()).text.includes(name))
    server.resets()
    await asking.line(/^ECONNRESET$/)
    await example.process.line(new RegExp(`^${name}: [1-9]\\d+ bytes up, 0 down, server-reset$`))
    t.is(listening.accepted, 1)
  }

  const stranger = talks('red.example')
  await stranger.line(/^ECONNRESET$/)
  await example.process.line(/no server for red\.example$/)
  t.like(await example.process.stop('SIGTERM'), { code: 0 })
})

test.serial('a client talks to the server of its SNI name', async (t) => {
  await using _ = await router(named)
  for (const name of named.keys()) {
    const asking = talks(name)
    t.is(await asking.line(/^met /), `met ${name}`)
    await echoes(asking, `hello ${name}`)
    await asking.stop()
  }
})

test.serial('a ClientHello can come in pieces', async (t) => {
  await using _ = await router(named)
  const asking = talks('green.example', 'split')
  await asking.line(/^half$/)
  await waitFor('half of it to arrive', async () => {
    const { stdout } = await lab.client.run('ss', ['-Htn', 'dport = :443'])
    return /^ESTAB\s+0\s+0\s/.test(stdout)
  })
  asking.stdin.write('the rest\n')
  t.is(await asking.line(/^met /), 'met green.example')
  await echoes(asking, 'hello')
  await asking.stop()
})

test.serial(
  'bytes that are not a ClientHello are reset, and other clients are unharmed',
  async (t) => {
    await using example = await router(named)
    const before = talks('blue.example')
    await before.line(/^met blue\.example$/)
    // A handshake record whose ClientHello ends before its session id, and text that is not TLS.
    for (const text of ['\x16\x03\x01\x00\x05\x01\x00\x00\x01\x7F', 'GET / HTTP/1.1\r\n\r\n']) {
      const wrong = await strangers.connect(captured(), 443)
      wrong.says(text)
      await wrong.sees('ECONNRESET')
    }
    await echoes(before, 'still here')
    const after = talks('green.example')
    t.is(await after.line(/^met /), 'met green.example')
    t.true(example.process.running)
    await Promise.all([before.stop(), after.stop()])
  },
)
