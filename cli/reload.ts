/**
 * Brings a running faithd to another configuration: all of it, or nothing.
 *
 * Steps that can fail come first, each with its undoing: interfaces that are made, prefixes, relays that are opened or
 * stopped, settings of relays. Steps that cannot fail come last: access lists, which are read by then and may end
 * sessions, interfaces that are removed, keepfaith and the log. Settings that only a new interface or relay can have stay
 * as they are, and so do interfaces that were made over the control socket.
 */
import { isDeepStrictEqual } from 'node:util'
import { setKeepfaith } from '../index.js'
import { type Checked, overlap } from './check.js'
import type {
  Configuration,
  InterfaceConfiguration,
  LogConfiguration,
  RelayConfiguration,
} from './configuration.js'
import { explain } from './exit.js'
import { protocolsOf } from './kinds.js'
import { relayUpdate } from './library-options.js'
import type { Interfaces } from './interfaces.js'
import type { Logger } from './log.js'
import { DNS64 } from './settings/dns64.js'
import { INTERFACE } from './settings/interface.js'
import { LOG } from './settings/log.js'
import { PROCESS } from './settings/process.js'
import { RELAY } from './settings/relay.js'
import type { Setting, Settings } from './settings/setting.js'
import type { RunningInterface, RunningRelay } from './running.js'
import { runAll, type Step } from './transaction.js'

/** The result of applying a configuration. */
export interface Applied {
  /** A sentence for each setting that stays as it was, and each access list that lost its last rule. */
  warnings: string[]
  /** A sentence for each change. */
  changes: string[]
}

/**
 * Applies a configuration to what runs. On an error nothing has changed.
 *
 * @param before - the configuration in force, with what was changed over the control socket
 */
export async function apply(
  running: Interfaces,
  before: Configuration,
  { configuration: given, accessLists }: Checked,
  log: Logger,
): Promise<Applied & { configuration: Configuration }> {
  const warnings: string[] = []
  const changes: string[] = []
  const steps: Step[] = []
  const last: (() => Promise<void>)[] = []
  const configuration = keepFixed('faithd', before, given, PROCESS, warnings)
  if (configuration.keepfaith && !before.keepfaith) steps.push(keepfaithOn(changes))

  if (!isDeepStrictEqual(configuration.pref64, before.pref64)) {
    steps.push(advertiseStep(running, before, configuration, changes))
  }
  configuration.dns64 = keepFixed('dns64', before.dns64, given.dns64, DNS64, warnings)
  if (!isDeepStrictEqual(configuration.dns64, before.dns64)) {
    steps.push(dns64Step(running, before, configuration, changes))
  }
  if (!isDeepStrictEqual(configuration.local, before.local)) {
    steps.push(localStep(running, before, configuration, changes))
  }
  const { pairs, gone, fresh } = pair(running.configured, configuration.interface)
  const make = (one: InterfaceConfiguration) => makeStep(running, one, accessLists, changes)
  steps.push(...placeSteps({ pairs, gone, fresh }, make, changes))
  for (const [runs, asked] of pairs) {
    const { name } = runs.faith
    const wanted = keepFixed(name, runs.configuration, asked, INTERFACE, warnings)
    const kept: RunningRelay[] = []
    const opened: RelayConfiguration[] = []
    for (const relay of asked.relay) {
      const same = runs.relays.find(({ configuration: { ports } }) => ports === relay.ports)
      if (same === undefined) opened.push(relay)
      else {
        kept.push(same)
        const title = `${name}, ports ${relay.ports}`
        const settings = keepFixed(title, same.configuration, relay, RELAY, warnings)
        const list = accessLists.get(relay)
        steps.push(...updateStep(same, settings))
        const changed = changedKeys(same, settings, list)
        if (changed.length > 0) changes.push(`${title}: ${changed.join(', ')}`)
        if ((same.accessList?.rules ?? 0) > 0 && list?.rules === 0) {
          warnings.push(
            `${title}: the access list became empty, so every public destination is permitted`,
          )
        }
        last.push(async () => {
          const { 'allow-loopback': allowLoopback, 'end-denied': endDenied } = settings
          await same.relay.setAccessList(list?.text ?? '', { allowLoopback, endDenied })
          same.configuration = settings
          same.accessList = list
        })
      }
    }
    const removed = runs.relays.filter((one) => !kept.includes(one))
    steps.push(...removed.map((one) => stopStep(runs, one, changes)))
    const arePingsTaken = kept.some(({ configuration: { protocols } }) => hasPings(protocols))
    for (const one of opened) {
      const relay = arePingsTaken ? withoutPings(one) : one
      steps.push(openStep(runs, relay, accessLists.get(one), changes))
    }
    last.push(() => Promise.resolve(void (runs.configuration = wanted)))
  }

  await runAll(steps, (error) => log.error(`a change could not be undone: ${String(error)}`))
  for (const finish of last) {
    await finish().catch((error: unknown) => log.error(`a rule is not in force: ${explain(error)}`))
  }
  for (const one of gone) {
    changes.push(`${one.faith.name} is removed; its sessions are drained`)
    // The drain may take long, and the reload is over before.
    void running.remove(one).catch((error: unknown) => log.error(explain(error)))
  }
  if (!configuration.keepfaith && before.keepfaith) {
    setKeepfaith(false)
    changes.push('keepfaith is 0')
    warnings.push('keepfaith is 0: nothing is captured, and sessions stall until it is 1 again')
  }
  configuration.log = keepFixed('log', before.log, given.log, LOG, warnings)
  if (!isDeepStrictEqual(configuration.log, before.log)) {
    log.configure(configuration.log)
    changes.push(...logChanges(before.log, configuration.log))
  }
  return { warnings, changes, configuration }
}

function hasPings(protocols: string): boolean {
  return protocolsOf(protocols).includes('icmp')
}

/** The pings of an interface stay with the relay that has them. A relay of pings alone stays one, and is an error. */
function withoutPings(relay: RelayConfiguration): RelayConfiguration {
  const others = protocolsOf(relay.protocols).filter((protocol) => protocol !== 'icmp')
  return others.length === 0 ? relay : { ...relay, protocols: others.join(',') }
}

/** A sentence for the level and the format, and the names of other settings of the log that changed. */
function logChanges(before: LogConfiguration, { level, format, ...after }: LogConfiguration) {
  const isSame = before.level === level && before.format === format
  const others = Object.entries(after)
    .filter(([key, value]) => before[key as keyof typeof after] !== value)
    .map(([key]) => key)
  const removed = Object.keys(before).filter((key) => !(key in after) && key.startsWith('ipfix'))
  const changed = [...others, ...removed]
  return [
    ...(isSame ? [] : [`the log is ${level}, ${format}`]),
    ...(changed.length === 0 ? [] : [`log: ${changed.join(', ')}`]),
  ]
}

/** Matches interfaces by name, and a renamed one by its place, so that its sessions go on. */
function pair(running: readonly RunningInterface[], asked: readonly InterfaceConfiguration[]) {
  const find = (runs: RunningInterface) =>
    asked.find(({ name }) => name === runs.configuration.name)
  const pairs = running.flatMap<[RunningInterface, InterfaceConfiguration]>((runs) => {
    const same = find(runs)
    return same === undefined ? [] : [[runs, same]]
  })
  const gone = running.filter((runs) => find(runs) === undefined)
  const fresh = asked.filter((one) => !pairs.some(([, paired]) => paired === one))
  const [renamed] = gone
  const [renaming] = fresh
  if (gone.length === 1 && fresh.length === 1 && renamed && renaming) {
    return { pairs: [...pairs, [renamed, renaming] as const], gone: [], fresh: [] }
  }
  return { pairs, gone, fresh }
}

/** Gives the wanted settings, with the present values of those that only a start can change. */
function keepFixed<T extends Readonly<Record<string, unknown>>>(
  title: string,
  before: T,
  asked: T,
  settings: Settings,
  warnings: string[],
): T {
  const fixed = Object.entries<Setting>(settings)
    .filter(([, { change }]) => change === 'at the next start')
    .map(([key]) => key)
    .filter((key) => !isDeepStrictEqual(before[key], asked[key]))
  for (const key of fixed) {
    warnings.push(`${title}: ${key} stays ${shown(before[key])} until faithd starts again`)
  }
  const kept = { ...asked, ...Object.fromEntries(fixed.map((key) => [key, before[key]])) }
  // A setting that was left out stays left out.
  for (const key of fixed) if (before[key] === undefined) delete kept[key]
  return kept
}

/** A value of a setting as a sentence tells it. */
function shown(value: unknown): string {
  const text = Array.isArray(value) ? value.join(', ') : String(value ?? '')
  return text === '' ? 'unset' : text
}

function keepfaithOn(changes: string[]): Step {
  return {
    run: async () => {
      setKeepfaith(true)
      changes.push('keepfaith is 1')
      return () => Promise.resolve(setKeepfaith(false))
    },
  }
}

function localStep(
  running: Interfaces,
  before: Configuration,
  after: Configuration,
  changes: string[],
): Step {
  const serve = async (configuration: Configuration): Promise<void> => {
    running.locals.configure(configuration)
    const { places } = running.locals
    await Promise.all(running.relays.map(({ relay }) => relay.update({ localServices: places })))
  }
  return {
    run: async () => {
      await serve(after)
      changes.push(`local services: ${after.local.length}`)
      return () => serve(before)
    },
  }
}

/** Advertises on other interfaces, or otherwise. Only a process that may open the socket can begin with it. */
function advertiseStep(
  { advertising }: Interfaces,
  before: Configuration,
  after: Configuration,
  changes: string[],
): Step {
  return {
    run: async () => {
      advertising.configure(after.pref64)
      const { advertise } = after.pref64
      const where = advertise.length === 0 ? 'no interface' : advertise.join(', ')
      changes.push(`the prefixes are advertised on ${where}`)
      return async () => advertising.configure(before.pref64)
    },
  }
}

/** Answers DNS queries by other settings. */
function dns64Step(
  { dns64 }: Interfaces,
  before: Configuration,
  after: Configuration,
  changes: string[],
): Step {
  const changed = Object.keys(DNS64).filter((name) => {
    const key = name as keyof typeof DNS64
    return !isDeepStrictEqual(before.dns64[key], after.dns64[key])
  })
  return {
    run: async () => {
      dns64.configure(after.dns64)
      changes.push(`dns64: ${changed.join(', ')}`)
      return async () => dns64.configure(before.dns64)
    },
  }
}

function makeStep(
  running: Interfaces,
  asked: InterfaceConfiguration,
  accessLists: Checked['accessLists'],
  changes: string[],
): Step {
  return {
    run: async () => {
      const made = await running.start(asked, accessLists)
      changes.push(`${made.faith.name} captures ${asked.prefixes.join(', ')}`)
      return () => running.remove(made)
    },
  }
}

/** Interfaces that stay, each with its new configuration, those that go, and those that come. */
interface Pairing {
  pairs: readonly (readonly [RunningInterface, InterfaceConfiguration])[]
  gone: readonly RunningInterface[]
  fresh: readonly InterfaceConfiguration[]
}

/**
 * Brings the prefixes to their interfaces. It adds prefixes and makes interfaces before it deletes prefixes, but for
 * those that another interface, or the same one, has to give up first.
 */
function placeSteps(
  { pairs, gone, fresh }: Pairing,
  make: (one: InterfaceConfiguration) => Step,
  changes: string[],
): Step[] {
  const leaves = [
    ...pairs.flatMap(([runs, { prefixes }]) => of(runs, missing(runs.configuration, prefixes))),
    ...gone.flatMap((runs) => of(runs, runs.configuration.prefixes)),
  ]
  const comes = pairs.flatMap(([runs, wanted]) =>
    of(runs, missing(wanted, runs.configuration.prefixes)),
  )
  const waits = (prefix: string): boolean => leaves.some((one) => overlap(one.prefix, prefix))
  const arrives = [...comes.map(({ prefix }) => prefix), ...fresh.flatMap((one) => one.prefixes)]
  // An interface that goes has its prefixes until its sessions are drained, but for those that move.
  const goes = leaves.filter(
    ({ runs, prefix }) => !gone.includes(runs) || arrives.some((one) => overlap(one, prefix)),
  )
  const add = (one: Placed) => prefixStep('add', one, changes)
  return [
    ...fresh.filter(({ prefixes }) => !prefixes.some(waits)).map(make),
    ...comes.filter(({ prefix }) => !waits(prefix)).map(add),
    ...goes.map((one) => prefixStep('delete', one, changes)),
    ...comes.filter(({ prefix }) => waits(prefix)).map(add),
    ...fresh.filter(({ prefixes }) => prefixes.some(waits)).map(make),
  ]
}

/** A prefix of an interface. */
interface Placed {
  runs: RunningInterface
  prefix: string
}

function of(runs: RunningInterface, prefixes: readonly string[]): Placed[] {
  return prefixes.map((prefix) => ({ runs, prefix }))
}

/** The prefixes of a configuration that are not among others. */
function missing({ prefixes }: InterfaceConfiguration, others: readonly string[]): string[] {
  return prefixes.filter((prefix) => !others.includes(prefix))
}

function prefixStep(
  action: 'add' | 'delete',
  { runs: { faith }, prefix }: Placed,
  changes: string[],
): Step {
  return {
    run: async () => {
      await faith.prefixes[action](prefix)
      changes.push(`${faith.name} captures ${prefix}${action === 'add' ? '' : ' no longer'}`)
      return () => faith.prefixes[action === 'add' ? 'delete' : 'add'](prefix)
    },
  }
}

/** The keys of settings that differ; `acl` too where a file has other rules. */
function changedKeys(
  { configuration, accessList }: RunningRelay,
  wanted: RelayConfiguration,
  list: RunningRelay['accessList'],
): string[] {
  const differs = (key: string): boolean => {
    const name = key as keyof RelayConfiguration
    return !isDeepStrictEqual(configuration[name], wanted[name])
  }
  const keys = Object.keys(RELAY).filter(differs)
  const isSame = keys.includes('rules') || keys.includes('acl') || accessList?.text === list?.text
  return isSame ? keys : [...keys, 'acl']
}

function updateStep({ relay, configuration }: RunningRelay, wanted: RelayConfiguration): Step[] {
  const before = relayUpdate(configuration)
  const after = relayUpdate(wanted)
  if (isDeepStrictEqual(before, after)) return []
  return [
    {
      run: async () => {
        await relay.update(after)
        return () => relay.update(before)
      },
    },
  ]
}

function stopStep(runs: RunningInterface, one: RunningRelay, changes: string[]): Step {
  const { ports } = one.configuration
  return {
    run: async () => {
      await runs.retire(one)
      changes.push(`${runs.faith.name} no longer relays ports ${ports}`)
      return async () => {
        runs.relays.push(await runs.open(one.configuration, one.accessList))
      }
    },
  }
}

function openStep(
  runs: RunningInterface,
  asked: RelayConfiguration,
  accessList: RunningRelay['accessList'],
  changes: string[],
): Step {
  return {
    run: async () => {
      const opened = await runs.open(asked, accessList)
      runs.relays.push(opened)
      changes.push(`${runs.faith.name} relays ports ${asked.ports}`)
      return () => runs.retire(opened)
    },
  }
}
