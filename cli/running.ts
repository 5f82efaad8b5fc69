/** An interface of a running faithd and its relays, each beside the configuration that it runs by. */
import type { EventEmitter } from 'node:events'
import {
  createFaithInterface,
  type FaithInterface,
  type FaithRefusal,
  type FaithRelayOptions,
  type FaithSession,
} from '../index.js'
import type { FaithInterfaceStats } from '../lib/interface-stats.js'
import type { FaithRelayStats } from '../lib/relay-stats.js'
import type { FaithSource } from '../lib/sources.js'
import type { FaithError } from '../lib/errors.js'
import type { FaithWarning, FaithWarningCode } from '../lib/warning.js'
import type { LoadedAccessList } from './access-list.js'
import { logTo } from '../lib/relay-log.js'
import type { Checked } from './check.js'
import type { InterfaceConfiguration, RelayConfiguration } from './configuration.js'
import { namingHolder } from './holder.js'
import { explain } from './exit.js'
import { interfaceOptions, milliseconds, relayOptions } from './library-options.js'
import type { LocalServices } from './local-services.js'
import type { Logger } from './log.js'
import { Expectations, type Expected } from './gateways/expectations.js'
import type { Expectation } from './gateways/gateway.js'
import { Helping } from './gateways/helping.js'
import { hasPort } from './ports.js'
import type { RunningRelay } from './running-relay.js'
import { total } from './total.js'

export type { RunningRelay } from './running-relay.js'

function isIdle({ relay }: RunningRelay): boolean {
  const { sessions, attempts } = relay.stats()
  return sessions.active === 0 && attempts === 0
}

/** The totals of an interface and its relays so far. */
export interface InterfaceTotals {
  relay: FaithRelayStats
  interface: FaithInterfaceStats
}

/** The records that relays report, each with the name of the interface. */
export interface RecordEvents {
  session: [name: string, relay: RunningRelay, session: FaithSession]
  refused: [name: string, relay: RunningRelay, refusal: FaithRefusal]
}

/** The maker of an interface: the configuration, or a request over the control socket. */
export type Maker = 'configuration' | 'control'

/** The circumstances in which an interface is made. */
export interface Making {
  maker: Maker
  /** Gets the records, while it has a reader. */
  records: EventEmitter<RecordEvents>
  /** Tells if the records have a reader. */
  areRead(): boolean
  /** Serves connections to the host's own addresses. */
  locals: LocalServices
}

/** The warnings that end a trouble, by the code of the warning that began it. */
const ENDS: Readonly<Record<string, FaithWarningCode>> = {
  'routes-restored': 'routes-lost',
  'watch-restored': 'watch-lost',
  'worker-runs': 'worker-stuck',
}
const TROUBLES: ReadonlySet<FaithWarningCode> = new Set([
  ...Object.values(ENDS),
  'routes-contested',
  'shortcut-lost',
])

/** The use of an address by two relays. Both have the same ports. */
function together(one: FaithSource, other: FaithSource): FaithSource {
  return {
    ...one,
    sessions: one.sessions + other.sessions,
    portBlocks: one.portBlocks + other.portBlocks,
    maxPortBlocks: Math.max(one.maxPortBlocks, other.maxPortBlocks),
  }
}

let opened = 0

/** An interface that runs, with its relays. */
export class RunningInterface {
  configuration: InterfaceConfiguration
  relays: RunningRelay[] = []
  /** Relays that take no more connections, and whose sessions go on. */
  #retired: RunningRelay[] = []
  /** The statistics of closed relays. */
  #past: FaithRelayStats[] = []
  readonly faith: FaithInterface
  /** The warnings whose reason lasts, by their code. */
  readonly troubles = new Map<FaithWarningCode, string>()
  readonly #making: Making
  readonly #log: Logger
  #isLost = false
  readonly #expectations = new Expectations({
    open: async ({ configuration, accessList }, more) => {
      const one = { ...configuration, ports: String(more.ports), protocols: 'tcp' }
      const running = await this.#open(one, accessList, more)
      this.#retired.push(running)
      return running
    },
    retire: async ({ relay }) => {
      await relay.stop()
      await this.forgetIdle()
    },
    failed: ({ client, name }, error) =>
      this.#log.warn(`${name}: a data connection of ${client} is not relayed: ${explain(error)}`),
  })
  /** Resolves with the error when the interface is lost. */
  readonly lost: Promise<FaithError>

  private constructor(
    faith: FaithInterface,
    configuration: InterfaceConfiguration,
    making: Making,
    log: Logger,
  ) {
    this.faith = faith
    this.#making = making
    this.configuration = configuration
    this.#log = log
    this.lost = new Promise((resolve) => {
      faith.once('error', (error) => {
        this.#isLost = true
        resolve(error)
      })
    })
    faith.on('warning', (warning) => {
      log.warn({ code: warning.code }, `${warning.message} [${warning.code}]`)
      this.#note(warning)
    })
  }

  /** Makes an interface and opens its relays. */
  static async start(
    configuration: InterfaceConfiguration,
    accessLists: Checked['accessLists'],
    making: Making,
    log: Logger,
  ): Promise<RunningInterface> {
    const faith = await createFaithInterface(interfaceOptions(configuration)).catch(
      (error: unknown) => {
        throw namingHolder(error, configuration.name)
      },
    )
    const running = new RunningInterface(faith, configuration, making, log)
    try {
      for (const relay of configuration.relay) {
        running.relays.push(await running.open(relay, accessLists.get(relay)))
      }
    } catch (error) {
      await faith.close({ drainMs: 0 })
      throw error
    }
    return running
  }

  /** Opens a relay, which counts as one of the interface's when it is added to them. */
  async open(
    configuration: RelayConfiguration,
    accessList: LoadedAccessList | undefined,
  ): Promise<RunningRelay> {
    const helping = new Helping(this, configuration, this.#log)
    const running = await this.#open(configuration, accessList, helping.options)
    helping.begin(running)
    return running
  }

  /** Has one connection relayed for a gateway; `undefined` if a relay has its port. */
  expect(expected: Expected): Expectation | undefined {
    const { port } = expected
    if (this.relays.some(({ configuration }) => hasPort(configuration.ports, port)))
      return undefined
    return this.#expectations.add(expected)
  }

  async #open(
    configuration: RelayConfiguration,
    accessList: LoadedAccessList | undefined,
    more: Partial<FaithRelayOptions>,
  ): Promise<RunningRelay> {
    const log = this.#log
    const { records, areRead, locals } = this.#making
    const accessRules = accessList?.text ?? ''
    const options = {
      ...relayOptions(configuration),
      localServices: locals.places,
      accessList: accessRules,
      sessionEvents: areRead(),
      ...more,
    } as FaithRelayOptions
    // The relay gives its records to the log itself.
    const relay = await this.faith.relay(logTo(log.thread, options))
    relay.on('exhausted', ({ resource, message }) =>
      log.warn({ resource }, `${message}; new connections wait or are refused, sessions go on`),
    )
    opened += 1
    const running: RunningRelay = { number: opened, configuration, accessList, relay }
    const { name } = this.faith
    relay.on('connection', (socket) => {
      // A gateway stands before the others.
      if (socket.upstream !== undefined) return
      locals.take(this.faith, socket, running.configuration)
    })
    relay.on('session', (session) => records.emit('session', name, running, session))
    relay.on('refused', (refusal) => records.emit('refused', name, running, refusal))
    return running
  }

  get maker(): Maker {
    return this.#making.maker
  }

  /** The relays whose sessions may go on: those that take connections, and those that no longer do. */
  get allRelays(): RunningRelay[] {
    return [...this.relays, ...this.#retired]
  }

  /** Tells if a relay takes no more connections. */
  isRetired(relay: RunningRelay): boolean {
    return this.#retired.includes(relay)
  }

  #note({ code, message }: FaithWarning): void {
    const ended = ENDS[code]
    if (ended !== undefined) this.troubles.delete(ended)
    if (code === 'routes-restored') this.troubles.delete('routes-contested')
    if (TROUBLES.has(code)) this.troubles.set(code, message)
  }

  /** Has a relay take no more connections. Its sessions go on. */
  async retire(one: RunningRelay): Promise<void> {
    await one.relay.stop()
    this.relays = this.relays.filter((relay) => relay !== one)
    this.#retired.push(one)
  }

  /** Closes retired relays whose sessions have ended. */
  async forgetIdle(): Promise<void> {
    const idle = this.#retired.filter(isIdle)
    this.#retired = this.#retired.filter((one) => !idle.includes(one))
    await Promise.all(idle.map(({ relay }) => relay.close()))
    const closed = idle.map(({ relay }) => relay.stats())
    const past = [...this.#past, ...closed]
    this.#past = past.length === 0 ? [] : [total(past)]
  }

  /** Gives the totals so far. */
  totals(): InterfaceTotals {
    const relays = this.allRelays.map(({ relay }) => relay.stats())
    const stats = total([...relays, ...this.#past])
    return { relay: stats, interface: this.faith.stats() }
  }

  /** Tells how far the local addresses of connections to servers are used, by all relays together. */
  async sources(): Promise<FaithSource[]> {
    const each = await Promise.all(this.allRelays.map(({ relay }) => relay.sources()))
    const all = new Map<string, FaithSource>()
    for (const source of each.flat()) {
      const before = all.get(source.address)
      all.set(source.address, before === undefined ? source : together(before, source))
    }
    return [...all.values()]
  }

  /** Gives the sums of the limits of the relays that have connections or may get some; 0 means no limit. */
  limits(): Pick<FaithRelayStats, 'maxSessions' | 'maxHeld'> {
    const { maxSessions, maxHeld } = total(
      [...this.relays, ...this.#retired].map(({ relay }) => relay.stats()),
    )
    return { maxSessions, maxHeld }
  }

  /** Drains the relays, each for as long as it may, removes the interface, and gives the totals. */
  async stop(): Promise<InterfaceTotals> {
    const { shortcut } = this.faith.stats()
    const drains = this.allRelays.map(({ configuration: { drain } }) => milliseconds(drain))
    const ends = performance.now() + Math.max(0, ...drains)
    if (!this.#isLost) {
      await Promise.all(
        this.allRelays.map(({ relay, configuration: { drain } }) =>
          relay.close({ drainMs: milliseconds(drain) }),
        ),
      )
    }
    const lastWordsMs = await this.#making.locals.drain(
      this.faith,
      this.#isLost ? 0 : Math.max(0, ends - performance.now()),
    )
    // The drains are over: clients have their bytes, or are too late, but for those whose programs have just ended.
    await this.faith.close({ drainMs: lastWordsMs })
    // Closing the interface clears `shortcut`; the totals report its state before.
    const totals = this.totals()
    return { ...totals, interface: { ...totals.interface, shortcut } }
  }
}
