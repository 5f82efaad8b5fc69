/**
 * A relay with a policy: it blocks ports and networks, and logs each session and each refusal.
 *
 * Run it as root, and route 64:ff9b::/96 to this host:
 *
 *   node examples/policy-relay.mjs --block-port 25 --block-port 6881-6999 blocked.txt
 *   kill -HUP PID    reads the file again; sessions go on
 *
 * The file has one IPv4 network a line, as lists of countries have, and `#` begins a comment. Each line becomes a rule of
 * the relay's access list, so Rust decides about connections, and JavaScript only logs.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { checkAccessList, createFaithInterface, setKeepfaith } from 'faithd'

const USAGE = 'usage: node examples/policy-relay.mjs [--block-port PORT[-PORT] ...] FILE'
/** The time for sessions to finish when the relay closes, in milliseconds. */
const DRAIN = 3_000

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

/** Reads the command line: the file, and the rules that block ports. */
function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { 'block-port': { type: 'string', multiple: true, default: [] } },
      allowPositionals: true,
    })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new Error('name one file')
    const ports = values['block-port'].map((port) => `::/0 deny 0.0.0.0/0 port ${port}`)
    checkAccessList(ports.join('\n'), '--block-port')
    return { file, ports }
  } catch (error) {
    return quit(64, `${/** @type {Error} */ (error).message}\n${USAGE}`)
  }
}

const { file, ports } = readArguments()

/** Reads the file into an access list. An error names each bad line by its number. */
function readPolicy() {
  const networks = readFileSync(file, 'utf8')
    .split('\n')
    .map((line, index) => {
      const network = line.replace(/#.*/, '').trim()
      // A second word would be read as ports, or as an address to connect from.
      if (/\s/.test(network))
        throw new Error(`${file}:${index + 1}: more than a network: ${network}`)
      return network && `::/0 deny ${network}`
    })
  // Each rule is on the line of its network, so errors name the line of the file.
  const blocked = checkAccessList(networks.join('\n'), file)
  return { blocked, accessList: [...networks, ...ports, '::/0 permit 0.0.0.0/0'].join('\n') }
}

function policyOrQuit() {
  try {
    return readPolicy()
  } catch (error) {
    return quit(78, /** @type {Error} */ (error).message)
  }
}

const { blocked, accessList } = policyOrQuit()
setKeepfaith(true)
const faith = await createFaithInterface().catch(unavailable)
faith.on('error', unavailable)
const relay = await faith.relay({ ports: 'all', accessList })
relay.on('session', (session) => log('session', session))
// The `reason` of a refusal is `denied`, `refused`, `unreachable` …
relay.on('refused', (refusal) => log('refused', refusal))
relay.on('exhausted', (shortage) => log('exhausted', shortage))

async function reload() {
  try {
    const policy = readPolicy()
    await relay.setAccessList(policy.accessList)
    log('reloaded', { blocked: policy.blocked })
  } catch (error) {
    log('kept', { because: /** @type {Error} */ (error).message })
  }
}

async function stop() {
  await relay.close({ drainMs: DRAIN })
  await faith.close()
}
process.on('SIGHUP', reload)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
log('ready', { blocked })
