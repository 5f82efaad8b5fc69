/**
 * An HTTP server that answers for every address of a prefix, and tells each client which address it has dialled.
 *
 * Run it as root, and route the prefixes to this host:
 *
 *   node examples/http-prefix.mjs --port 80 2001:db8:64::/96
 *   curl 'http://[2001:db8:64::192.0.2.33]/'
 *
 * The server is Node's own, and knows nothing of prefixes.
 */
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { createFaithInterface, destinationOf, embed, setKeepfaith } from 'faithd'

const USAGE = 'usage: node examples/http-prefix.mjs [--port PORT] [PREFIX ...]'
/** The idle timeout of a connection, in milliseconds. */
const PATIENCE = 30_000

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
      options: { port: { type: 'string', default: '80' } },
      allowPositionals: true,
    })
    const port = Number(values.port)
    if (!(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
      throw new Error(`${values.port} is no port`)
    }
    const prefixes = positionals.length > 0 ? positionals : ['64:ff9b::/96']
    // A malformed prefix throws here, before there is an interface.
    const urls = prefixes.map((prefix) => `http://[${embed('192.0.2.33', prefix)}]:${port}/`)
    return { port, prefixes, urls }
  } catch (error) {
    return quit(64, `${/** @type {Error} */ (error).message}\n${USAGE}`)
  }
}

const { port, prefixes, urls } = readArguments()

const server = createServer((request, response) => {
  const dialled = destinationOf(request.socket)
  const means = dialled?.ipv4 === undefined ? '' : `, which means ${dialled.ipv4}`
  response.setHeader('content-type', 'text/plain')
  response.end(`you dialled ${dialled?.address} port ${dialled?.port}${means}\n`)
})
server.setTimeout(PATIENCE)

setKeepfaith(true)
const faith = await createFaithInterface({ prefixes }).catch(unavailable)
faith.on('error', unavailable)
const listener = await faith.listen({ port })
listener.attach(server)

async function stop() {
  await listener.close()
  // The connections must end while the interface is there.
  server.closeAllConnections()
  await faith.close()
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
console.log(`ready: ${urls.join(' ')}`)
