/**
 * A network's DNS64 and relay in one program, with names of its own and a block list.
 *
 * Run it as root, and route the prefix to this host:
 *
 *   node examples/own-names.mjs --prefix 2001:db8:64::/96 --names internal hosts.txt
 *   kill -HUP PID    reads the file again
 *
 * The file has the form of /etc/hosts: an address and its names on each line. The address 0.0.0.0 blocks a name and those
 * below it, as in lists of advertisers. `--names` has JavaScript see only queries about these names and those below; the
 * upstreams answer the others. Clients of a name with an IPv4 address connect through the relay, so containers on a
 * private network can have names here. Private addresses need a prefix of one's own and an access list that opens them.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { isIP } from 'node:net'
import { createFaithInterface, setKeepfaith } from 'faithd'

const USAGE =
  'usage: node examples/own-names.mjs [--prefix PREFIX] [--open NETWORK ...] [--names NAME ...]' +
  ' [--upstream ADDRESS ...] FILE'
const list = {
  type: /** @type {const} */ ('string'),
  multiple: /** @type {const} */ (true),
  default: /** @type {string[]} */ ([]),
}

/** @param {number} code one of sysexits.h @param {string} why @returns {never} */
function quit(code, why) {
  console.error(why)
  process.exit(code)
}

/** @param {import('faithd').FaithError} error @returns {never} */
function unavailable({ message, hint }) {
  return quit(69, hint ? `${message}; ${hint}` : message)
}

/** @param {string} event @param {object} [details] */
function log(event, details) {
  console.log(JSON.stringify({ event, ...details }))
}

function readArguments() {
  try {
    const prefix = /** @type {const} */ ({ type: 'string', default: '64:ff9b::/96' })
    const options = { prefix, open: list, names: list, upstream: list }
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new Error('name one file')
    return { file, ...values }
  } catch (error) {
    return quit(64, `${/** @type {Error} */ (error).message}\n${USAGE}`)
  }
}

const { file, prefix, open, names, upstream } = readArguments()

/** Reads the file: the addresses of each name; none for a blocked one. */
function readHosts() {
  /** @type {Map<string, string[]>} */
  const hosts = new Map()
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    const [address, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (!address) continue
    if (isIP(address) === 0) throw new Error(`${file}:${index + 1}: ${address} is no address`)
    for (const alias of aliases.map((name) => name.toLowerCase())) {
      const others = hosts.get(alias) ?? []
      hosts.set(alias, address === '0.0.0.0' ? others : [...others, address])
    }
  }
  return hosts
}

function hostsOrQuit() {
  try {
    return readHosts()
  } catch (error) {
    return quit(78, /** @type {Error} */ (error).message)
  }
}

let hosts = hostsOrQuit()

/** @type {import('faithd').FaithResolve} */
function resolve({ name, type, client }) {
  const addresses = hosts.get(name)
  if (addresses !== undefined && addresses.length > 0) return { addresses, ttl: 10 }
  for (let above = name; above !== ''; above = above.replace(/^[^.]*\.?/, '')) {
    if (hosts.get(above)?.length !== 0) continue
    log('blocked', { name, type, client })
    return null
  }
  return undefined // the upstreams know the name
}

setKeepfaith(true)
const faith = await createFaithInterface({ prefixes: [prefix] }).catch(unavailable)
faith.on('error', unavailable)
const rules = open.map((network) => `::/0 permit ${network}`)
await faith
  .relay({ ports: 'all', accessList: [...rules, '::/0 permit 0.0.0.0/0'].join('\n') })
  .catch(unavailable)
const dns64 = await faith
  .dns64({
    upstreams: upstream.map((address) => ({ address })),
    resolve,
    ...(names.length > 0 && { resolveNames: names }),
  })
  .catch(unavailable)
dns64.on('error', ({ message }) => log('failed', { message }))

process.on('SIGHUP', () => {
  try {
    hosts = readHosts()
    log('reloaded', { names: hosts.size })
  } catch (error) {
    log('kept', { because: /** @type {Error} */ (error).message })
  }
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => faith.close())
log('ready', { names: hosts.size })
