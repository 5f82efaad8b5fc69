/** A running faithd: its interfaces, what it logs about them, and how it ends. */
import { setKeepfaith } from '../index.js'
import { FaithError } from '../lib/errors.js'
import { reloadAccessList, tellRules } from './access-list.js'
import type { Checked } from './check.js'
import { explain } from './exit.js'
import type { Logger } from './log.js'
import { RunningInterface } from './running.js'
import { activeLine, totalsLine } from './session-lines.js'
import { total } from './total.js'
import { UntoldSums } from './untold.js'
import { limitWarnings, loopbackWarnings } from './warnings.js'

/** The interfaces and relays that a configuration asks for. */
export class Daemon {
  readonly #interfaces: readonly RunningInterface[]
  readonly #log: Logger
  readonly #untold: UntoldSums
  /** Resolves with the error when an interface is lost. */
  readonly lost: Promise<FaithError>

  private constructor(interfaces: readonly [RunningInterface, ...RunningInterface[]], log: Logger) {
    this.#interfaces = interfaces
    this.#log = log
    this.lost = Promise.race(interfaces.map(({ lost }) => lost))
    const [first, ...more] = interfaces
    this.#untold = new UntoldSums(
      () => total([first.totals().relay, ...more.map((one) => one.totals().relay)]),
      log,
    )
  }

  /** Makes the interfaces and opens their relays. */
  static async start({ configuration, accessLists }: Checked, log: Logger): Promise<Daemon> {
    setKeepfaith(configuration.keepfaith)
    const start = (faith: (typeof configuration.interface)[number]) =>
      RunningInterface.start(faith, accessLists, log)
    const [first, ...more] = configuration.interface
    if (first === undefined) throw new Error('a configuration has an interface at least')
    const interfaces: [RunningInterface, ...RunningInterface[]] = [await start(first)]
    for (const one of more) interfaces.push(await start(one))
    return new Daemon(interfaces, log)
  }

  /** Logs what is captured, and what is probably not meant so. */
  announce({ accessLists }: Checked): void {
    for (const { faith, relays } of this.#interfaces) {
      const prefixes = [...faith.prefixes]
      const ports = relays.map(({ configuration }) => configuration.ports).join(',')
      const { steering, shortcut, workers } = faith.stats()
      this.#log.info(
        { interface: faith.name, prefixes, ports, steering, shortcut, workers },
        `${faith.name} captures ${prefixes.join(', ')}, ports ${ports}, steering by ${steering}`,
      )
      for (const { configuration, relay } of relays) {
        const list = accessLists.get(configuration)
        const warnings = [
          ...loopbackWarnings(list?.text ?? '', configuration),
          ...limitWarnings(configuration, relay.stats()),
        ]
        for (const warning of warnings) this.#log.warn(warning)
        const { acl } = configuration
        if (acl.length > 0 && list !== undefined) tellRules(this.#log, acl.join(', '), list.rules)
      }
    }
  }

  /** Reads the files of access lists again. */
  async reloadAccessLists(): Promise<void> {
    for (const { configuration, relay } of this.#interfaces.flatMap(({ relays }) => relays)) {
      await reloadAccessList(relay, configuration, this.#log)
    }
  }

  /** Logs what was done so far, because `signal` asked for it. */
  tellTotals(signal: string): void {
    for (const running of this.#interfaces) {
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
      const drains = this.#interfaces.flatMap(({ relays }) =>
        relays.map(({ configuration }) => configuration.drain),
      )
      const drainMs = Math.max(...drains) * 1000
      this.#log.info({ signal: end, drainMs }, `${end}: no longer capturing, draining`)
    }
    const ended = await Promise.all(
      this.#interfaces.map(async (running) => ({ running, totals: await running.stop() })),
    )
    this.#untold.end()
    for (const { running, totals } of ended) {
      this.#log.info(
        totals,
        `ended: ${this.#of(running)}${totalsLine(totals.relay, totals.interface)}`,
      )
    }
  }

  /** Names an interface where there are several. */
  #of({ faith }: RunningInterface): string {
    return this.#interfaces.length > 1 ? `${faith.name}: ` : ''
  }
}
