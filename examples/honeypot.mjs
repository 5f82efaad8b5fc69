/**
 * A honeypot on every port of every address of a prefix. It greets its clients, and logs what they say.
 *
 * Run it as root, and route the prefix to this host:
 *
 *   node examples/honeypot.mjs --guests 1000 --bytes 4096 --seconds 30 2001:db8:64::/96
 *
 * Every byte that it sends is written in this file: it obeys, passes on and repeats nothing that a client says. At most
 * --guests clients are served at once, and the others wait. Each may send --bytes, and stay for --seconds.
 */
import { parseArgs } from 'node:util'
import { createFaithInterface, embed, setKeepfaith } from 'faithd'

const USAGE =
  'usage: node examples/honeypot.mjs [--guests N] [--bytes N] [--seconds N] [PREFIX ...]'

/** The greetings of services that speak first, by port. Other ports say `ready`. */
const GREETINGS = new Map([
  [21, '220 FTP server ready\r\n'],
  [22, 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'],
  [23, 'login: '],
  [25, '220 mail ESMTP\r\n'],
  [143, '* OK IMAP4rev1 ready\r\n'],
])
/** The answers of services whose client speaks first, by port. TLS gets none. */
const ANSWERS = new Map([
  [80, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'],
  [443, ''],
])

/** @param {number} code one of sysexits.h @param {string} why @returns {never} */
function quit(code, why) {
  console.error(why)
  process.exit(code)
}

/** @param {import('faithd').FaithError} error @returns {never} */
function unavailable({ message, hint }) {
  return quit(69, hint ? `${message}; ${hint}` : message)
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: {
        guests: { type: 'string', default: '1000' },
        bytes: { type: 'string', default: '4096' },
        seconds: { type: 'string', default: '30' },
      },
      allowPositionals: true,
    })
    const counts = [values.guests, values.bytes, values.seconds].map(Number)
    if (!counts.every((count) => Number.isInteger(count) && count > 0 && count < 1_000_000)) {
      throw new Error('N is a whole number, 1 to 999999')
    }
    const [most = 0, bytes = 0, seconds = 0] = counts
    if (positionals.length === 0) positionals.push('64:ff9b::/96')
    // A malformed prefix throws here, before there is an interface.
    for (const prefix of positionals) embed('192.0.2.33', prefix)
    return { most, bytes, seconds, prefixes: positionals }
  } catch (error) {
    return quit(64, `${/** @type {Error} */ (error).message}\n${USAGE}`)
  }
}

const { most, bytes, seconds, prefixes } = readArguments()

/** @param {string} event @param {object} [details] */
function log(event, details) {
  const line = JSON.stringify({ event, ...details })
  // JSON does not escape these characters, and some terminals obey them.
  console.log(line.replaceAll(/[\x7F-\x9F]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`))
}

/** @type {Set<import('faithd').FaithSocket>} */
const guests = new Set()

/** @param {import('faithd').FaithSocket} socket */
function entertain(socket) {
  guests.add(socket)
  if (guests.size >= most) listener.pause()
  const { remoteAddress, remotePort, destination } = socket
  const came = new Date()
  // One buffer: many small chunks would take much more memory than their bytes.
  const heard = Buffer.alloc(bytes)
  let length = 0
  let ended = 'by itself'
  const leave = (/** @type {string} */ why) => {
    ended = why
    socket.resetAndDestroy()
  }
  // Unlike the timeout of the socket, this timer does not start again with each byte.
  const timer = setTimeout(leave, seconds * 1000, 'time')
  socket.on('data', (chunk) => {
    length += chunk.copy(heard, length)
    if (length === bytes) leave('bytes')
  })
  const answer = ANSWERS.get(destination.port)
  if (answer === undefined) socket.write(GREETINGS.get(destination.port) ?? 'ready\r\n')
  else socket.once('data', () => socket.write(answer))
  socket.on('error', ({ message }) => (ended = message))
  socket.once('close', () => {
    guests.delete(socket)
    listener.resume()
    clearTimeout(timer)
    const client = { address: remoteAddress, port: remotePort }
    log('guest', { came, client, destination, ended, heard: heard.toString('latin1', 0, length) })
  })
}

setKeepfaith(true)
const faith = await createFaithInterface({ prefixes }).catch(unavailable)
faith.on('error', unavailable)
const listener = await faith.listen({ ports: 'all', allowHalfOpen: false })
listener.on('connection', entertain)

async function stop() {
  await listener.close()
  // The resets must leave while the interface is there.
  for (const socket of guests) socket.resetAndDestroy()
  await faith.close()
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
log('ready')
