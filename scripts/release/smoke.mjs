// Proves an installed faithd: it is loaded as each kind of program loads it, and relays a connection that it captures.
// It runs in a project that has the package, in a network namespace of its own, on the Node of a platform.
//
// The last line that it prints is what it found, as JSON.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

const [, , platform] = process.argv
const require = createRequire(import.meta.url)
// Only the project has it.
const name = 'faithd'
const faithd = await import(name)
const { version } = require('faithd/package.json')

assert.equal(require('faithd').createFaithInterface, faithd.createFaithInterface)
const command = join(import.meta.dirname, 'node_modules/.bin/faithd')
const printed = execFileSync(process.execPath, [command, '--version'], { encoding: 'utf8' })
assert.equal(printed, `faithd ${version}\n`)
const addons = readFileSync('/proc/self/maps', 'utf8').match(/\/[^ ]*\.node$/gm)
assert.deepEqual(
  new Set(addons),
  new Set([join(import.meta.dirname, `node_modules/faithd-${platform}/faithd.${platform}.node`)]),
)

const bytes = 4 << 20
const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())

faithd.setKeepfaith(true)
const faith = await faithd.createFaithInterface({ name: 'faith0', prefixes: ['64:ff9b::/96'] })
const relay = await faith.relay({
  ports: [8080],
  route: () => ({ host: '127.0.0.1', port, allowAny: true }),
})
const session = once(relay, 'session')
const client = connect({ host: '64:ff9b::198.51.100.2', port: 8080 })
client.end(Buffer.alloc(bytes, 7))
let received = 0
for await (const chunk of client) {
  assert.ok(chunk.equals(Buffer.alloc(chunk.length, 7)))
  received += chunk.length
}
assert.equal(received, bytes)
const [{ bytesUp, bytesDown }] = await session
assert.deepEqual([Number(bytesUp), Number(bytesDown)], [bytes, bytes])

const { steering, shortcut } = faith.stats()
await faith.close()
server.close()
const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (
  process.report.getReport()
)
const glibc = header.glibcVersionRuntime
console.log(
  JSON.stringify({
    platform,
    node: process.version,
    libc: glibc === undefined ? 'musl' : `glibc ${glibc}`,
    relayed: received,
    steering,
    shortcut,
  }),
)
