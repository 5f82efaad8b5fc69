// Proves an installed Debian package: its command captures a connection and relays it. It runs in a chroot, on the Node
// of the package, in a network namespace that has the address below.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

const [, , address = '', version] = process.argv
const faithd = '/usr/sbin/faithd'
assert.equal(execFileSync(faithd, ['--version'], { encoding: 'utf8' }), `faithd ${version}\n`)
const faithctl = '/usr/sbin/faithctl'
assert.equal(execFileSync(faithctl, ['-V'], { encoding: 'utf8' }), `faithctl ${version}\n`)

const server = createServer((socket) => socket.end('relayed'))
server.listen(8080, address)
await once(server, 'listening')
const daemon = spawn(faithd, ['-k', '--permit', address], { stdio: ['ignore', 'pipe', 'pipe'] })
const ended = once(daemon, 'exit')
let log = ''
const captures = new Promise((resolve, reject) => {
  for (const stream of [daemon.stdout, daemon.stderr]) {
    stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      log += text
      if (log.includes('faith0 captures')) resolve(undefined)
    })
  }
  daemon.on('exit', () => reject(new Error(`faithd ended: ${log}`)))
})
await captures
const client = connect({ host: `64:ff9b::${address}`, port: 8080 })
let received = ''
for await (const chunk of client) received += chunk
assert.equal(received, 'relayed')
daemon.kill('SIGTERM')
assert.deepEqual(await ended, [0, null])
assert.match(log, /steering by sk_lookup/)
server.close()
console.log('relayed by the command, which ended with 0')
