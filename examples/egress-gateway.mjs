/**
 * An egress gateway for sandboxes that have no other way out. A sandbox reaches what the rules name; everything else is
 * prohibited. A sandbox that has used up its quota is cut off. Each session and each refusal is a line of JSON.
 *
 * Run it as root:
 *
 *   node examples/egress-gateway.mjs --quota 1000000000 registry.npmjs.org:443 198.51.100.0/24:80,8000-8999
 *
 * The sandboxes need DNS64 for names, and 64:ff9b::/96 routed to this host as their only route. The gateway tells
 * sandboxes apart by their /64. It looks names up by itself, once a minute and on SIGHUP, and opens the addresses that
 * DNS gives: trust in a name is trust in its DNS.
 *
 * The rules become the relay's access list, which Rust applies. JavaScript counts bytes, and gives each session the rest
 * of its sandbox's quota as `maxBytes`, so Rust cuts off a session that exceeds it. Parallel sessions of a sandbox each
 * get the whole rest; JavaScript cuts these off at its next count. A fast session may carry some MiB more than its rest.
 */
import { lookup } from 'node:dns/promises'
import { parseArgs } from 'node:util'
import { checkAccessList, createFaithInterface, setKeepfaith } from 'faithd'

const USAGE = 'usage: node examples/egress-gateway.mjs [--quota BYTES] HOST-or-NETWORK:PORTS ...'
/** The interval between two counts of bytes, in milliseconds: parallel sessions may exceed the quota for this long. */
const COUNTING = 500
/** The quota without `--quota`: the largest `maxBytes`. */
const UNLIMITED = `${Number.MAX_SAFE_INTEGER}`
/** The interval between two look-ups of all names, in milliseconds. */
const LOOKING_UP = 60_000

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

/** @param {string} network @param {string} ports */
const permit = (network, ports) => `::/0 permit ${network} port ${ports}`

function readArguments() {
  try {
    const options = /** @type {const} */ ({ quota: { type: 'string', default: UNLIMITED } })
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const quota = Number(values.quota)
    if (!Number.isSafeInteger(quota) || quota < 1)
      throw new Error(`${values.quota} is no number of bytes`)
    if (positionals.length === 0) throw new Error('name what may be reached')
    const rules = positionals.map((rule) => {
      const [, host = '', ports = ''] = /^([\w./-]+):([\d,-]+)$/.exec(rule) ?? []
      const isName = !/^[\d./]*$/.test(host)
      checkAccessList(permit(isName ? '192.0.2.1' : host, ports), rule)
      return { host, ports, isName, networks: isName ? [] : [host] }
    })
    return { quota, rules }
  } catch (error) {
    return quit(64, `${/** @type {Error} */ (error).message}\n${USAGE}`)
  }
}

const { quota, rules } = readArguments()

async function lookUp() {
  for (const rule of rules.filter(({ isName }) => isName)) {
    try {
      const found = await lookup(rule.host, { all: true, family: 4 })
      rule.networks = found.map(({ address }) => address)
    } catch (error) {
      // The rule keeps the addresses that it had.
      log('unknown', { host: rule.host, because: /** @type {Error} */ (error).message })
    }
  }
}

/** The bytes of each sandbox, by its /64. @type {Map<string, number>} */
const used = new Map()
/** The bytes of each live session that `used` includes. @type {Map<number, number>} */
const counted = new Map()

/** Gives the /64 of a client: a sandbox can take any address of it. @param {import('faithd').FaithEndpoint} client */
function sandboxOf({ address }) {
  const [head = [], tail = []] = address.split('::').map((part) => part.match(/\w+/g) ?? [])
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0')
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`
}

/** @param {Pick<import('faithd').FaithSession, 'id' | 'client' | 'bytesUp' | 'bytesDown'>} session */
function count({ id, client, bytesUp, bytesDown }) {
  const sandbox = sandboxOf(client)
  const bytes = bytesUp + bytesDown
  const total = (used.get(sandbox) ?? 0) + bytes - (counted.get(id) ?? 0)
  used.set(sandbox, total)
  counted.set(id, bytes)
  return total
}

/** Limits a session to the rest of the quota. @type {import('faithd').FaithRoute} */
function route({ client }) {
  const left = quota - (used.get(sandboxOf(client)) ?? 0)
  if (left < 0) return { reject: 'prohibited' }
  // `maxBytes` is at least 1. A sandbox with nothing left is cut off at its first byte, by the next count.
  return { proceed: true, maxBytes: Math.max(left, 1) }
}

function accessList() {
  const spent = [...used].filter(([, bytes]) => bytes > quota)
  const denied = spent.map(([sandbox]) => `${sandbox} deny 0.0.0.0/0`)
  const permitted = rules.flatMap(({ networks, ports }) =>
    networks.map((one) => permit(one, ports)),
  )
  // An empty list would permit every public address, so the last rule is always there.
  return [...denied, ...permitted, '::/0 deny 0.0.0.0/0'].join('\n')
}

async function enforce() {
  for await (const session of relay.sessions()) {
    if (count(session) > quota) relay.abort(session.id)
  }
  const list = accessList()
  if (list === inForce) return
  await relay.setAccessList(list)
  inForce = list
  log('rules', { rules: list.split('\n') })
}

setKeepfaith(true)
await lookUp()
let inForce = accessList()
const faith = await createFaithInterface().catch(unavailable)
faith.on('error', unavailable)
const relay = await faith.relay({ ports: 'all', accessList: inForce, route })
relay.on('session', (session) => {
  count(session)
  counted.delete(session.id)
  log('session', session)
})
relay.on('refused', (refusal) => log('refused', refusal))
relay.on('error', ({ message }) => log('error', { because: message }))
let ending = false
const timers = [
  // A gateway that cannot enforce its rules must not go on, unless it is closing already.
  setInterval(() => enforce().catch((error) => ending || unavailable(error)), COUNTING),
  setInterval(lookUp, LOOKING_UP),
]

async function stop() {
  ending = true
  for (const timer of timers) clearInterval(timer)
  await faith.close()
  log('ended', relay.stats())
}
process.on('SIGHUP', lookUp)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
log('ready', { rules: inForce.split('\n') })
