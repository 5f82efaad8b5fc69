/**
 * A relay over Node's streams that records the bytes of each connection: NAME.up has the client's, NAME.down the
 * server's, and a line of JSON says whose they are.
 *
 * Run it as root, and route 64:ff9b::/96 to this host:
 *
 *   node examples/recording-relay.mjs /var/tmp/records 198.51.100.0/24 203.0.113.7
 *
 * No byte passes unrecorded, so a slow disk slows the connection down. The relay connects only to the networks that are
 * named: a client could otherwise reach the router's own services.
 */
import { mkdir, open } from 'node:fs/promises'
import { BlockList, connect } from 'node:net'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createFaithInterface, setKeepfaith } from 'faithd'

const USAGE = 'usage: node examples/recording-relay.mjs DIRECTORY NETWORK ...'
/** The idle timeout of a connection, and the time for its server to answer, in milliseconds. */
const PATIENCE = 300_000

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
    const [directory, ...networks] = parseArgs({ allowPositionals: true }).positionals
    if (directory === undefined || networks.length === 0)
      throw new Error('name a directory and a network')
    const permitted = new BlockList()
    for (const network of networks) {
      const [address = '', length = '32'] = network.split('/')
      permitted.addSubnet(address, Number(length), 'ipv4')
    }
    return { directory, permitted }
  } catch (error) {
    return quit(64, `${/** @type {Error} */ (error).message}\n${USAGE}`)
  }
}

const { directory, permitted } = readArguments()
let count = 0
/** A function for each open connection that aborts it. @type {Set<() => void>} */
const aborts = new Set()

/**
 * Carries one direction until its end, and passes the end on.
 *
 * @typedef {import('node:net').Socket} Socket
 * @param {Socket} from @param {Socket} to @param {string} path @param {() => void} abort
 */
async function carry(from, to, path, abort) {
  // `wx` never overwrites a record, and only this user may read it.
  const file = await open(path, 'wx', 0o600)
  const recorder = new Transform({
    transform(chunk, _encoding, passOn) {
      file.writeFile(chunk).then(() => passOn(null, chunk), passOn)
    },
  })
  recorder.once('error', abort)
  await pipeline(from, recorder, to).finally(() => file.close())
}

/** @param {import('faithd').FaithSocket} client @param {string} path */
async function relay(client, path) {
  const { ipv4, port } = client.destination
  if (ipv4 === undefined || !permitted.check(ipv4)) {
    client.resetAndDestroy()
    throw new Error('not permitted')
  }
  const server = connect({ host: ipv4, port, allowHalfOpen: true })
  const abort = () => {
    client.resetAndDestroy()
    server.resetAndDestroy()
  }
  aborts.add(abort)
  // These handlers run before those of pipeline(), which would end the other side as after a complete transfer. (Node may
  // take a reset right behind data for an end; spliceTo(), which records nothing, does not.)
  client.on('error', abort)
  server.on('error', abort)
  server.setTimeout(PATIENCE, abort)
  try {
    const up = carry(client, server, `${path}.up`, abort)
    const down = carry(server, client, `${path}.down`, abort)
    await Promise.all([up, down])
  } catch (error) {
    abort()
    throw error
  } finally {
    aborts.delete(abort)
  }
}

setKeepfaith(true)
await mkdir(directory, { recursive: true }).catch(({ message }) => quit(73, message))
const faith = await createFaithInterface().catch(unavailable)
faith.on('error', unavailable)
const listener = await faith.listen({ ports: 'all' })
listener.on('connection', async (client) => {
  const came = new Date()
  const name = `${came.toISOString()}-${(count += 1)}`
  const ended = await relay(client, join(directory, name)).then(
    () => 'closed',
    ({ code, message }) => code ?? message,
  )
  const { remoteAddress: address, remotePort: port, destination } = client
  console.log(JSON.stringify({ name, came, client: { address, port }, destination, ended }))
})

async function stop() {
  await listener.close()
  // The resets must leave while the interface is there.
  for (const abort of aborts) abort()
  await faith.close()
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
console.log(JSON.stringify({ event: 'ready' }))
