/** The interfaces of a running faithd: those of its configuration, and those that were made over the control socket. */
import { EventEmitter } from 'node:events'
import { getKeepfaith } from '../index.js'
import type { FaithError } from '../lib/errors.js'
import type { Advertising } from './advertising.js'
import type { Checked } from './check.js'
import type { InterfaceConfiguration } from './configuration.js'
import type { Dns64 } from './dns64.js'
import { explain } from './exit.js'
import type { LocalServices } from './local-services.js'
import type { Logger } from './log.js'
import {
  type InterfaceTotals,
  type Maker,
  type RecordEvents,
  RunningInterface,
  type RunningRelay,
} from './running.js'
import { totalsLine } from './session-lines.js'

/** The interfaces that run. */
export class Interfaces implements Iterable<RunningInterface> {
  /** The records of sessions and refusals, as the relays report them. */
  readonly records = new EventEmitter<RecordEvents>()
  /** Resolves with the error when an interface of the configuration is lost. */
  readonly lost: Promise<FaithError>
  #areRead = false
  #all: RunningInterface[] = []
  readonly #leaving = new Set<Promise<void>>()
  #lose: (error: FaithError) => void = () => {}
  readonly locals: LocalServices
  readonly advertising: Advertising
  readonly dns64: Dns64
  readonly #log: Logger

  constructor(locals: LocalServices, advertising: Advertising, dns64: Dns64, log: Logger) {
    this.locals = locals
    this.advertising = advertising
    this.dns64 = dns64
    this.#log = log
    this.lost = new Promise((resolve) => void (this.#lose = resolve))
    // Each reader of the control socket has a handler.
    this.records.setMaxListeners(0)
  }

  [Symbol.iterator](): Iterator<RunningInterface> {
    return this.#all.values()
  }

  /** The interfaces of the configuration. */
  get configured(): RunningInterface[] {
    return this.#all.filter(({ maker }) => maker === 'configuration')
  }

  /** The relays that take connections. */
  get relays(): RunningRelay[] {
    return this.#all.flatMap(({ relays }) => relays)
  }

  /** Gives the interface of a name. */
  named(name: string): RunningInterface | undefined {
    return this.#all.find(({ faith }) => faith.name === name)
  }

  /** The prefixes of all interfaces. */
  get prefixes(): string[] {
    return this.#all.flatMap(({ faith }) => [...faith.prefixes])
  }

  /** Tells hosts the prefixes that are captured now, by advertisements and by DNS64. */
  advertise(): void {
    this.advertising.advertise(getKeepfaith() ? this.prefixes : [])
    this.dns64.follow()
  }

  /** Has all relays report their records, or not. */
  async tellRecords(sessionEvents: boolean): Promise<void> {
    this.#areRead = sessionEvents
    for (const { relay } of this.relays) await relay.update({ sessionEvents })
  }

  /** Makes an interface, and opens its relays. */
  async start(
    configuration: InterfaceConfiguration,
    accessLists: Checked['accessLists'],
    maker: Maker = 'configuration',
  ): Promise<RunningInterface> {
    const running = await RunningInterface.start(
      configuration,
      accessLists,
      { maker, records: this.records, areRead: () => this.#areRead, locals: this.locals },
      this.#log,
    )
    this.#all.push(running)
    void running.lost.then((error) => this.#lost(running, error))
    return running
  }

  /** Drains an interface and removes it. It is no longer among the others from now on. */
  async remove(running: RunningInterface): Promise<void> {
    const one = this.#remove(running)
    this.#leaving.add(one)
    await one.finally(() => this.#leaving.delete(one))
  }

  /** Drains and removes all interfaces, and gives the totals of each. */
  async stop(): Promise<{ name: string; totals: InterfaceTotals }[]> {
    const ended = await Promise.all(
      this.#all.map(async (running) => ({
        name: running.faith.name,
        totals: await running.stop(),
      })),
    )
    await Promise.allSettled(this.#leaving)
    return ended
  }

  async #remove(running: RunningInterface): Promise<void> {
    this.#all = this.#all.filter((one) => one !== running)
    const totals = await running.stop()
    const line = totalsLine(totals.relay, totals.interface)
    this.#log.info(totals, `ended: ${running.faith.name}: ${line}`)
  }

  #lost(running: RunningInterface, error: FaithError): void {
    if (running.maker === 'configuration') return this.#lose(error)
    // faithd was asked to relay by its configuration: that goes on.
    this.#log.error({ code: error.code }, explain(error))
    const removed = this.remove(running)
    this.advertise()
    void removed.catch((failed: unknown) => this.#log.error(explain(failed)))
  }
}
