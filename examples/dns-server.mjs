/**
 * A DNS server on every address of a prefix. It answers with what its client dialled.
 *
 * Run it as root, and route the prefix to this host:
 *
 *   node examples/dns-server.mjs --port 53 2001:db8:64::/96
 *
 * A client asks any address of the prefix, such as 2001:db8:64::192.0.2.1. The answer to AAAA is the address that it dialled,
 * the answer to A is the IPv4 address inside, and the answer to TXT is the client's own address. Other types have no answer.
 * An answer is hardly longer than its query, so forged queries gain nothing.
 */
import { parseArgs } from 'node:util'
import { createFaithInterface, embed, setKeepfaith } from 'faithd'

const USAGE = 'usage: node examples/dns-server.mjs [--port N] [PREFIX ...]'

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
    const options = { port: { type: /** @type {const} */ ('string'), default: '53' } }
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const port = Number(values.port)
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new Error('N is a port, 1 to 65535')
    }
    if (positionals.length === 0) positionals.push('64:ff9b::/96')
    // A malformed prefix throws here, before there is an interface.
    for (const prefix of positionals) embed('192.0.2.33', prefix)
    return { port, prefixes: positionals }
  } catch (error) {
    return quit(64, `${/** @type {Error} */ (error).message}\n${USAGE}`)
  }
}

const { port, prefixes } = readArguments()

/** The types of records that have an answer (RFC 1035, RFC 3596). */
const A = 1
const TXT = 16
const AAAA = 28
const HEADER = 12
const TTL_SECONDS = 60

/** @param {string} ipv6 in RFC 5952 form */
function octetsOf(ipv6) {
  const [head = [], tail] = ipv6.split('::').map((part) => part.split(':').filter(Boolean))
  const groups = tail
    ? [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail]
    : [...head]
  const octets = Buffer.alloc(16)
  groups.forEach((group, index) => octets.writeUInt16BE(Number.parseInt(group, 16), 2 * index))
  return octets
}

/**
 * The length of the question behind the header, and the type that it asks for.
 *
 * @param {Buffer} query
 */
function questionOf(query) {
  let end = HEADER
  for (let label = query[end]; label !== 0; label = query[end]) {
    // A length of 64 and above would be a pointer, which no question needs.
    if (label === undefined || label > 63) return undefined
    end += 1 + label
  }
  end += 5
  return end > query.length ? undefined : { end, type: query.readUInt16BE(end - 4) }
}

/**
 * The answer to a query; none if it is malformed or no query.
 *
 * @param {Buffer} query
 * @param {import('faithd').FaithUdpRemoteInfo} rinfo
 */
function answerTo(query, { address, destination }) {
  if (query.length < HEADER || (query[2] ?? 0) >= 128 || query.readUInt16BE(4) !== 1)
    return undefined
  const question = questionOf(query)
  if (question === undefined) return undefined
  const { end, type } = question
  const isQuery = ((query[2] ?? 0) & 0x78) === 0
  /** @type {Buffer | undefined} */
  let data
  if (isQuery && type === AAAA) data = octetsOf(destination.address)
  if (isQuery && type === A) data = Buffer.from(destination.ipv4?.split('.').map(Number) ?? [])
  if (isQuery && type === TXT) data = Buffer.from([address.length, ...Buffer.from(address)])
  const answer = Buffer.alloc(HEADER)
  query.copy(answer, 0, 0, 2)
  // An authoritative answer; opcode and "recursion desired" are those of the query. Code 4 is "not implemented".
  answer[2] = 0x84 | ((query[2] ?? 0) & 0x79)
  answer[3] = isQuery ? 0 : 4
  answer.writeUInt16BE(1, 4)
  if (data === undefined || data.length === 0)
    return Buffer.concat([answer, query.subarray(HEADER, end)])
  answer.writeUInt16BE(1, 6)
  const record = Buffer.alloc(12)
  // The name is that of the question, at the end of the header.
  record.writeUInt16BE(0xc000 | HEADER, 0)
  record.writeUInt16BE(type, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(TTL_SECONDS, 6)
  record.writeUInt16BE(data.length, 10)
  return Buffer.concat([answer, query.subarray(HEADER, end), record, data])
}

setKeepfaith(true)
const faith = await createFaithInterface({ prefixes }).catch(unavailable)
faith.on('error', unavailable)
const udp = await faith.bindUdp({ port })
udp.on('message', (query, rinfo) => {
  const answer = answerTo(query, rinfo)
  // It leaves from the address that the client dialled.
  if (answer !== undefined) udp.send(answer, rinfo.port, rinfo.address)
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => faith.close())
console.log(`ready on port ${port} of ${[...faith.prefixes].join(', ')}`)
