/**
 * A router that sends TLS connections to servers by the name that their clients ask for (SNI, RFC 6066). It decrypts
 * nothing.
 *
 * Run it as root, and route 64:ff9b::/96 to this host:
 *
 *   node examples/sni-router.mjs blue.example=192.0.2.1 green.example=192.0.2.2:8443
 *
 * JavaScript sees the first record of each connection on port 443 and never a byte more.
 */
import { createFaithInterface, setKeepfaith } from 'faithd'

/** The time for a client to send its ClientHello, in milliseconds. */
const PATIENCE = 10_000
/** The longest record with its header (RFC 8446 section 5.1), in bytes. */
const RECORD = 5 + 2 ** 14

const USAGE = 'usage: node examples/sni-router.mjs NAME=ADDRESS[:PORT] ...'

/** @param {number} code one of sysexits.h @param {string} why @returns {never} */
function quit(code, why) {
  console.error(why)
  process.exit(code)
}

/** @param {import('faithd').FaithError} error @returns {never} */
function unavailable({ message, hint }) {
  return quit(69, hint ? `${message}; ${hint}` : message)
}

/** @type {Map<string, import('faithd').FaithSpliceServer>} */
const servers = new Map()
for (const argument of process.argv.slice(2)) {
  const [, name, host, port = '443'] = /^([^=]+)=([^:]+)(?::(\d{1,5}))?$/.exec(argument) ?? []
  if (!name || !host) quit(64, `${argument} is no NAME=ADDRESS[:PORT]\n${USAGE}`)
  // A client chooses one of these servers, and cannot name another.
  servers.set(name.toLowerCase(), { host, port: Number(port), allowAny: true })
}
if (servers.size === 0) quit(64, `name a server\n${USAGE}`)

/**
 * Reads the first TLS record, and leaves it in the socket; `undefined` where the client sends none.
 *
 * @param {import('faithd').FaithSocket} socket
 */
async function firstRecord(socket) {
  let head = Buffer.alloc(0)
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    head = Buffer.concat([head, chunk])
    const length = head.length < 5 ? RECORD : 5 + head.readUInt16BE(3)
    if (length > RECORD || head[0] !== 22) return undefined
    if (head.length < length) continue
    // The server gets these bytes first.
    socket.unshift(head)
    return head.subarray(0, length)
  }
  return undefined
}

/**
 * Finds the name in a ClientHello (RFC 8446 section 4.1.2), if it has one. A malformed one throws a RangeError.
 *
 * @param {Buffer} record
 */
function nameOf(record) {
  // Record header, handshake header, version and random.
  let at = 5 + 4 + 2 + 32
  at += 1 + record.readUInt8(at) // session id
  at += 2 + record.readUInt16BE(at) // cipher suites
  at += 1 + record.readUInt8(at) // compression methods
  const end = at + 2 + record.readUInt16BE(at)
  for (at += 2; at < end; at += 4 + record.readUInt16BE(at + 2)) {
    const isServerName = record.readUInt16BE(at) === 0
    if (!isServerName) continue
    const length = record.readUInt16BE(at + 7)
    return record.toString('latin1', at + 9, at + 9 + length).toLowerCase()
  }
  return undefined
}

/** @param {import('faithd').FaithSocket} socket */
async function route(socket) {
  // spliceTo() ends this timer with the socket.
  socket.setTimeout(PATIENCE, () => socket.destroy())
  const record = await firstRecord(socket)
  const name = record && nameOf(record)
  const server = servers.get(name ?? '')
  if (server === undefined) throw new Error(`no server for ${name}`)
  const { bytesUp, bytesDown, reason } = await socket.spliceTo(server)
  console.log(`${name}: ${bytesUp} bytes up, ${bytesDown} down, ${reason}`)
}

setKeepfaith(true)
const faith = await createFaithInterface().catch(unavailable)
faith.on('error', unavailable)
const listener = await faith.listen({ port: 443 })
listener.on('connection', (socket) => {
  // An error of the socket fails route() below too.
  socket.on('error', () => undefined)
  route(socket).catch((error) => {
    console.log(`${socket.remoteAddress}: ${error.message}`)
    socket.resetAndDestroy()
  })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => faith.close())
console.log('ready')
