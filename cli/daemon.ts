/** A running faithd: its interfaces, the configuration in force, and how it changes and ends. */
import { FaithRelay, setKeepfaith } from '../index.js'
import { FaithError } from '../lib/errors.js'
import { Advertising } from './advertising.js'
import { reloadAccessList, tellRules } from './access-list.js'
import type { Checked } from './check.js'
import type { Configuration, InterfaceConfiguration, LogConfiguration } from './configuration.js'
import { metricsText } from './control/metrics.js'
import { type ProcessFacts, takeSnapshot } from './control/snapshot.js'
import { Dns64 } from './dns64.js'
import { explain } from './exit.js'
import { Interfaces } from './interfaces.js'
import { LocalServices } from './local-services.js'
import type { Logger } from './log.js'
import { doubts, emptyOf } from './meaning.js'
import { apply } from './reload.js'
import type { RunningInterface } from './running.js'
import { activeLine, totalsLine } from './session-lines.js'
import { total } from './total.js'
import { becomeUser } from './user.js'
import { limitWarnings } from './warnings.js'

/** The origin of the configuration. */
export interface Source {
  /** The file, if there is one. */
  file: string | undefined
  /** Loads and checks it as it is now. */
  load(): Promise<Checked>
}

/** The result of a reload: a sentence for each change, and for each thing that stays or is probably not meant. */
export interface Reloaded {
  changes: string[]
  warnings: string[]
}

/** The last reload that was asked for. */
export interface LastReload {
  at: Date
  applied: boolean
  detail: string
}

/** A change of the log. Fields that are `undefined` stay as they are. */
interface LogChange {
  level?: LogConfiguration['level'] | undefined
  format?: LogConfiguration['format'] | undefined
}

/** The interfaces and relays that a configuration asks for. */
export class Daemon {
  readonly interfaces: Interfaces
  readonly startedAt = new Date()
  lastReload: LastReload | undefined
  /** The time at which the configuration in force was applied. */
  appliedAt = this.startedAt
  draining = false
  #configuration: Configuration
  readonly #source: Source
  readonly #log: Logger
  /** The change under way. The next one waits for it. */
  #change: Promise<unknown> = Promise.resolve()
  /** Readers of the records beside the log. */
  #readers = 0
  /** The limits that were told to be out of reach. They are told again when they change. */
  #toldLimits: readonly string[] = []

  private constructor(
    interfaces: Interfaces,
    configuration: Configuration,
    source: Source,
    log: Logger,
  ) {
    this.interfaces = interfaces
    this.#configuration = configuration
    this.#source = source
    this.#log = log
  }

  /** Makes the interfaces and opens their relays. */
  static async start(checked: Checked, source: Source, log: Logger): Promise<Daemon> {
    const { configuration, accessLists } = checked
    setKeepfaith(configuration.keepfaith)
    const interfaces = new Interfaces(
      new LocalServices(configuration, log),
      new Advertising(log),
      new Dns64(log),
      log,
    )
    try {
      interfaces.advertising.configure(configuration.pref64)
      await interfaces.dns64.open(configuration.dns64, {
        prefixes: () => interfaces.prefixes,
        // The prefixes come later, and the check of the configuration has refused others.
        refusesOthers: false,
        relays: () => interfaces.relays.map(({ relay }) => FaithRelay.nativeOf(relay)),
      })
      for (const faith of configuration.interface) {
        await interfaces.start(faith, accessLists)
      }
    } catch (error) {
      interfaces.advertising.close()
      await interfaces.dns64.close()
      await Promise.all([...interfaces].map((running) => running.stop()))
      throw error
    }
    interfaces.advertise()
    return new Daemon(interfaces, configuration, source, log)
  }

  /** The configuration in force, with what was changed over the control socket. */
  get configuration(): Configuration {
    return this.#configuration
  }

  /** The file of the configuration, if there is one. */
  get file(): string | undefined {
    return this.#source.file
  }

  /** Resolves with the error when an interface of the configuration is lost. */
  get lost(): Promise<FaithError> {
    return this.interfaces.lost
  }

  /**
   * Gives up the privileges of the process, if the configuration names a user to become. After the error that this may
   * return, the process must end.
   */
  becomeUser(): FaithError | undefined {
    const { file } = this
    const lists = this.interfaces.relays.flatMap(({ configuration: { acl } }) => acl)
    const files = [...new Set(file === undefined ? lists : [file, ...lists])]
    const counts = [...this.interfaces].map(({ faith }) => faith.stats().workers)
    const workers = counts.reduce((sum, count) => sum + count, 0)
    try {
      becomeUser(this.#configuration, { files, workers }, this.#log)
      return undefined
    } catch (error) {
      if (error instanceof FaithError) return error
      throw error
    }
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

  /** Logs what is probably not meant, or cannot be had, and how many rules are in force. Gives the sentences. */
  #tellDoubts(checked: Checked): string[] {
    const { relays } = this.interfaces
    const limits = [...this.interfaces].flatMap(limitsOf)
    const sentences = [
      ...doubts(checked),
      ...limits.filter((sentence) => !this.#toldLimits.includes(sentence)),
    ]
    this.#toldLimits = limits
    for (const sentence of sentences) this.#log.warn(sentence)
    for (const { configuration, accessList } of relays) {
      const { acl } = configuration
      if (acl.length > 0) tellRules(this.#log, acl.join(', '), accessList?.rules ?? 0)
    }
    return sentences
  }

  /**
   * Reads the configuration again and brings what runs to it, or keeps the one in force; logs which. Without a file it
   * reads the files of access lists.
   *
   * @param by - the signal or the request that asked for it
   * @throws the error for which nothing was changed; it is logged
   */
  reload(by: string): Promise<Reloaded> {
    return this.change(async () => {
      try {
        const { file } = this.#source
        const done = await (file === undefined ? this.#reloadLists(by) : this.#reloadFile(file, by))
        await this.#renew(done, by)
        const detail = done.changes.length === 0 ? 'no setting changed' : done.changes.join('; ')
        this.appliedAt = new Date()
        this.lastReload = { at: this.appliedAt, applied: true, detail }
        return done
      } catch (error) {
        this.lastReload = { at: new Date(), applied: false, detail: explain(error) }
        throw error
      }
    })
  }

  /** Reads the certificates of the DNS server again, which goes on with the last good ones. */
  async #renew(done: Reloaded, by: string): Promise<void> {
    const { changes, warnings } = await this.interfaces.dns64.renew(this.#configuration.dns64)
    for (const sentence of warnings) this.#log.warn(sentence)
    for (const change of changes) this.#log.info(`${by}: ${change} read again`)
    done.changes.push(...changes)
    done.warnings.push(...warnings)
  }

  async #reloadFile(file: string, by: string): Promise<Reloaded> {
    const log = this.#log
    try {
      const checked = await this.#source.load()
      const applied = await apply(this.interfaces, this.#configuration, checked, log)
      const { warnings, changes, configuration } = applied
      this.#configuration = configuration
      for (const running of this.interfaces) await running.forgetIdle()
      const what = changes.length === 0 ? 'no setting changed' : changes.join('; ')
      for (const sentence of warnings) log.warn(`${by}: ${sentence}`)
      log.info({ file, changes }, `${by}: ${file} read again: ${what}`)
      return { changes, warnings: [...warnings, ...this.#tellDoubts(checked)] }
    } catch (error) {
      const code = error instanceof FaithError ? error.code : undefined
      for (const line of explain(error).split('\n')) log.error({ file, code }, `${by}: ${line}`)
      log.error({ file }, `${by}: nothing was changed: the configuration in force is kept`)
      throw error
    }
  }

  async #reloadLists(by: string): Promise<Reloaded> {
    const done: Reloaded = { changes: [], warnings: [] }
    const errors: string[] = []
    for (const running of this.interfaces.relays) {
      const { configuration, relay } = running
      const {
        list,
        warnings = [],
        error,
      } = await reloadAccessList(relay, configuration, this.#log, by)
      done.warnings.push(...warnings)
      if (error !== undefined) errors.push(error)
      if (list === undefined) continue
      if (list.text !== running.accessList?.text) {
        done.changes.push(`${configuration.acl.join(', ')}: ${list.rules} rules in force`)
      }
      running.accessList = list
    }
    if (errors.length > 0) throw new FaithError('ERR_FAITH_ACCESS_LIST', errors.join('\n'))
    return done
  }

  /**
   * Makes a change after those that are under way.
   *
   * @throws FaithError `ERR_FAITH_CLOSED` while faithd ends
   */
  change<T>(make: () => Promise<T>): Promise<T> {
    const change = this.#change.then(() => {
      if (this.draining) throw new FaithError('ERR_FAITH_CLOSED', 'faithd ends and changes nothing')
      return make().finally(() => this.interfaces.advertise())
    })
    this.#change = change.catch(() => undefined)
    return change
  }

  /** Turns capturing on or off, until a reload turns it as the file says. */
  setKeepfaith(on: boolean): Promise<void> {
    return this.change(async () => {
      setKeepfaith(on)
      this.#configuration = { ...this.#configuration, keepfaith: on }
    })
  }

  /** Writes the log otherwise, until a reload has it written as the file says. */
  setLog({ level, format }: LogChange): Promise<void> {
    return this.change(async () => {
      const log = { ...this.#configuration.log }
      if (level !== undefined) log.level = level
      if (format !== undefined) log.format = format
      this.#configuration = { ...this.#configuration, log }
      this.#log.configure(log)
    })
  }

  /** Logs that an interface has lost its last prefix, if it has. */
  tellEmpty(running: RunningInterface): void {
    for (const sentence of emptyOf(running)) this.#log.warn(sentence)
  }

  /** Makes an interface that lives until it is removed or faithd ends. */
  makeInterface(checked: Checked): Promise<RunningInterface> {
    const [faith] = checked.configuration.interface as [InterfaceConfiguration]
    return this.change(() => this.interfaces.start(faith, checked.accessLists, 'control'))
  }

  /** Has relays report their records to JavaScript until the returned function is called. */
  async readRecords(): Promise<() => Promise<void>> {
    this.#readers += 1
    await this.change(() => this.interfaces.tellRecords(this.#readers > 0))
    return async () => {
      this.#readers -= 1
      if (!this.draining) await this.change(() => this.interfaces.tellRecords(this.#readers > 0))
    }
  }

  /** Gives the metrics as they are now, in Prometheus's text format. */
  async metricsText(facts: ProcessFacts): Promise<string> {
    return metricsText(await takeSnapshot(this, facts))
  }

  /** The state of the moment, in a sentence. */
  get status(): string {
    if (!this.#configuration.keepfaith) return 'keepfaith is 0: nothing is captured'
    const all = [...this.interfaces]
    if (all.length === 0) return 'there is no interface'
    const captured = all.map(
      ({ faith: { name, prefixes } }) => `${name} captures ${[...prefixes].join(', ')}`,
    )
    const relays = total(all.map((running) => running.totals().relay))
    return `${captured.join(', ')}; ${activeLine(relays)}`
  }

  /** The longest time that sessions may take to end by themselves. */
  get drainMs(): number {
    const drains = this.interfaces.relays.map(({ configuration }) => configuration.drain)
    return Math.max(0, ...drains) * 1000
  }

  /** Removes the interfaces at once, because faithd cannot start. */
  async abandon(): Promise<void> {
    this.draining = true
    this.interfaces.advertising.close()
    await this.interfaces.dns64.close()
    await Promise.all([...this.interfaces].map(({ faith }) => faith.close()))
  }

  /** Ends everything, because of a signal or because an interface is lost, and logs the totals. */
  async stop(end: NodeJS.Signals | FaithError): Promise<void> {
    this.draining = true
    await this.#change
    const { advertising, dns64 } = this.interfaces
    advertising.advertise([])
    if (end instanceof FaithError) this.#log.fatal({ code: end.code }, explain(end))
    else {
      const { drainMs } = this
      this.#log.info({ signal: end, drainMs }, `${end}: no longer capturing, draining`)
    }
    const ended = await this.interfaces.stop()
    advertising.close()
    await dns64.close()
    this.#log.thread?.tellSums()
    for (const { name, totals } of ended) {
      const title = ended.length > 1 ? `${name}: ` : ''
      this.#log.info(totals, `ended: ${title}${totalsLine(totals.relay, totals.interface)}`)
    }
  }
}

/** Finds the limits of the relays of an interface that the process cannot have. */
function limitsOf({ faith, relays }: RunningInterface): string[] {
  return relays.flatMap(({ configuration, relay }) =>
    limitWarnings(configuration, relay.stats()).map(
      (sentence) => `${faith.name}, ports ${configuration.ports}: ${sentence}`,
    ),
  )
}
