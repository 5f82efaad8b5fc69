/** A running faithd: its interfaces, what it logs about them, and how it ends. */
import { setKeepfaith } from '../index.js'
import { FaithError } from '../lib/errors.js'
import { reloadAccessList, tellRules } from './access-list.js'
import type { Checked } from './check.js'
import type { Configuration } from './configuration.js'
import { metricsText } from './control/metrics.js'
import { type ProcessFacts, takeSnapshot } from './control/snapshot.js'
import { explain } from './exit.js'
import type { Logger } from './log.js'
import { doubts } from './meaning.js'
import { apply } from './reload.js'
import { RunningInterface } from './running.js'
import { activeLine, totalsLine } from './session-lines.js'
import { limitWarnings } from './warnings.js'

/** The interfaces and relays that a configuration asks for. */
export class Daemon {
  readonly interfaces: readonly RunningInterface[]
  readonly startedAt = new Date()
  lastReload: { applied: boolean } | undefined
  /** The time at which the configuration in force was applied. */
  appliedAt = this.startedAt
  #configuration: Configuration
  readonly #log: Logger
  /** Resolves with the error when an interface is lost. */
  readonly lost: Promise<FaithError>

  private constructor(
    interfaces: readonly RunningInterface[],
    configuration: Configuration,
    log: Logger,
  ) {
    this.interfaces = interfaces
    this.#configuration = configuration
    this.#log = log
    this.lost = Promise.race(interfaces.map(({ lost }) => lost))
  }

  /** Makes the interfaces and opens their relays. */
  static async start({ configuration, accessLists }: Checked, log: Logger): Promise<Daemon> {
    setKeepfaith(configuration.keepfaith)
    const interfaces: RunningInterface[] = []
    try {
      for (const faith of configuration.interface) {
        interfaces.push(await RunningInterface.start(faith, accessLists, log))
      }
    } catch (error) {
      await Promise.all(interfaces.map((running) => running.stop()))
      throw error
    }
    return new Daemon(interfaces, configuration, log)
  }

  /** Logs what is captured, and what is probably not meant so. */
  announce(checked: Checked): void {
    for (const { faith, relays } of this.interfaces) {
      const prefixes = [...faith.prefixes]
      const ports = relays.map(({ configuration }) => configuration.ports).join(',')
      const { steering, shortcut, workers } = faith.stats()
      this.#log.info(
        { interface: faith.name, prefixes, ports, steering, shortcut, workers },
        `${faith.name} captures ${prefixes.join(', ')}, ports ${ports}, steering by ${steering}`,
      )
    }
    this.#tellDoubts(checked)
  }

  /** Logs what is probably not meant, or cannot be had, and how many rules are in force. */
  #tellDoubts(checked: Checked): void {
    for (const doubt of doubts(checked)) this.#log.warn(doubt)
    for (const { configuration, accessList, relay } of this.#relays) {
      for (const warning of limitWarnings(configuration, relay.stats())) this.#log.warn(warning)
      const { acl } = configuration
      if (acl.length > 0) tellRules(this.#log, acl.join(', '), accessList?.rules ?? 0)
    }
  }

  get #relays() {
    return this.interfaces.flatMap(({ relays }) => relays)
  }

  /**
   * Brings what runs to another configuration, or keeps the one in force; logs which, and never throws.
   *
   * @param file - the file that is read again
   * @param load - loads and checks it
   */
  async reload(file: string, load: () => Promise<Checked>): Promise<void> {
    const log = this.#log
    try {
      const checked = await load()
      const applied = await apply(this.interfaces, this.#configuration, checked, log)
      const { warnings, changes } = applied
      this.#configuration = applied.configuration
      this.#noteReload(true)
      for (const running of this.interfaces) await running.forgetIdle()
      const what = changes.length === 0 ? 'no setting changed' : changes.join('; ')
      for (const sentence of warnings) log.warn(`SIGHUP: ${sentence}`)
      log.info({ file, changes }, `SIGHUP: ${file} read again: ${what}`)
      this.#tellDoubts(checked)
    } catch (error) {
      const code = error instanceof FaithError ? error.code : undefined
      for (const line of explain(error).split('\n')) log.error({ file, code }, `SIGHUP: ${line}`)
      this.#noteReload(false)
      log.error({ file }, 'SIGHUP: nothing was changed: the configuration in force is kept')
    }
  }

  /** Reads the files of access lists again. */
  async reloadAccessLists(): Promise<void> {
    let applied = true
    for (const { configuration, relay } of this.#relays) {
      applied = (await reloadAccessList(relay, configuration, this.#log)) && applied
    }
    this.#noteReload(applied)
  }

  #noteReload(applied: boolean): void {
    this.lastReload = { applied }
    if (applied) this.appliedAt = new Date()
  }

  /** Gives the metrics as they are now, in Prometheus's text format. */
  metricsText(facts: ProcessFacts): string {
    return metricsText(takeSnapshot(this, facts))
  }

  /** Logs what was done so far, because `signal` asked for it. */
  tellTotals(signal: string): void {
    for (const running of this.interfaces) {
      const sofar = running.totals()
      this.#log.info(
        { signal, ...sofar },
        `${signal}: ${this.#of(running)}${activeLine(sofar.relay)}; so far ${totalsLine(sofar.relay, sofar.interface)}`,
      )
    }
  }

  /** Ends everything, because of a signal or because an interface is lost, and logs the totals. */
  async stop(end: NodeJS.Signals | FaithError): Promise<void> {
    if (end instanceof FaithError) this.#log.fatal({ code: end.code }, explain(end))
    else {
      const drains = this.interfaces.flatMap(({ relays }) =>
        relays.map(({ configuration }) => configuration.drain),
      )
      const drainMs = Math.max(...drains) * 1000
      this.#log.info({ signal: end, drainMs }, `${end}: no longer capturing, draining`)
    }
    const ended = await Promise.all(
      this.interfaces.map(async (running) => ({ running, totals: await running.stop() })),
    )
    this.#log.thread?.tellSums()
    for (const { running, totals } of ended) {
      this.#log.info(
        totals,
        `ended: ${this.#of(running)}${totalsLine(totals.relay, totals.interface)}`,
      )
    }
  }

  /** Names an interface where there are several. */
  #of({ faith }: RunningInterface): string {
    return this.interfaces.length > 1 ? `${faith.name}: ` : ''
  }
}
