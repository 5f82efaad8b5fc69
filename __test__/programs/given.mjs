/**
 * Prepares the names that an example takes for granted (listed in `GIVEN`), and reports the example's actions, each as
 * a line of JSON on standard output:
 *
 *   {"serves":[80],"prefix":"64:ff9b::/96"}    it takes or relays connections to these ports
 *   {"holds":7000,"prefix":…}                  a client must come to this port, and stay
 *   {"closes":true}                            a relay waits for its sessions to end: that client may go
 *   {"ready":true}                             all of it has run, or it waits for connections one by one
 *   {"listens":"SIGTERM"}, {"heard":"SIGTERM"}
 *   {"exits":true}                             it ends; open objects are closed after this
 */
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { createFaithInterface, FaithInterface, FaithRelay, setKeepfaith } from 'faithd'

/** @param {object} what */
function say(what) {
  writeSync(1, `${JSON.stringify(what)}\n`)
}

/**
 * Lists the ports that options name: the first port of a range; for `all`, the port of HTTP.
 *
 * @param {import('faithd').FaithListenOptions} options
 */
function portsOf({ port, ports }) {
  const several = [port ?? ports ?? []].flat()
  return several.map((spec) => (spec === 'all' ? 80 : Number.parseInt(`${spec}`, 10)))
}

const { bindUdp, listen, relay } = FaithInterface.prototype

/** @param {import('faithd').FaithListenOptions} options */
FaithInterface.prototype.listen = async function tellingListen(options) {
  const listener = await listen.call(this, options)
  const serves = { serves: portsOf(options), prefix: [...this.prefixes][0] }
  /** @type {import('node:events').EventEmitter} */
  const emitter = listener
  emitter.on('newListener', (event) => {
    if (event === 'connection') say(serves)
  })
  const connections = listener.connections.bind(listener)
  listener.connections = (iteration) => {
    say(serves)
    say({ ready: true })
    return connections(iteration)
  }
  return listener
}

/** @param {import('faithd').FaithBindUdpOptions} options */
FaithInterface.prototype.bindUdp = async function tellingBindUdp(options) {
  const udp = await bindUdp.call(this, options)
  const messages = udp.messages.bind(udp)
  udp.messages = (iteration) => {
    say({ ready: true })
    return messages(iteration)
  }
  return udp
}

/** @param {import('faithd').FaithRelayOptions} options */
FaithInterface.prototype.relay = async function tellingRelay(options) {
  const opened = await relay.call(this, options)
  say({ serves: portsOf(options), prefix: [...this.prefixes][0] })
  return opened
}

const { close } = FaithRelay.prototype

/** @param {import('faithd').FaithRelayCloseOptions} [options] */
FaithRelay.prototype.close = function tellingClose(options) {
  say({ closes: true })
  return close.call(this, options)
}

/**
 * Makes each name from an interface.
 *
 * @type {Record<string, (faith: FaithInterface) => Promise<unknown>>}
 */
const makers = {
  faith: (faith) => Promise.resolve(faith),

  listener: (faith) => faith.listen({ port: 7001 }),

  /** A relay with a session. */
  async relay(faith) {
    const opened = await relay.call(faith, {
      port: 7000,
      accessList: '::/0 permit 198.51.100.0/24',
    })
    say({ holds: 7000, prefix: [...faith.prefixes][0] })
    while ((await opened.sessions().next()).done) await setTimeout(10)
    return opened
  },

  /** A captured connection. */
  async socket(faith) {
    const listener = await faith.listen({ port: 7002 })
    const [socket] = await once(listener, 'connection')
    return socket
  },
}

const heard = new Set()
process.on('newListener', (event) => {
  if (!`${String(event)}`.startsWith('SIG') || heard.has(event)) return
  heard.add(event)
  say({ listens: event })
  process.on(event, () => say({ heard: event }))
})

const names = (process.env['GIVEN'] ?? '').split(' ').filter(Boolean)
process.on('exit', () => say({ exits: true }))

const there = { ready: () => say({ ready: true }) }
if (names.length > 0) {
  setKeepfaith(true)
  const faith = await createFaithInterface()
  for (const name of names) Object.assign(there, { [name]: await makers[name]?.(faith) })
}
Object.assign(globalThis, there)
