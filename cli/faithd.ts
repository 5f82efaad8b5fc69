#!/usr/bin/env node
/**
 * faithd: the daemon. It reads the command line, makes a faith interface, relays until a signal stops it, drains the
 * sessions, and logs the totals.
 */
import { answerUserSignals, refuseInspector } from './user-signals.js'
import { readFileSync } from 'node:fs'
import type * as library from '../index.js'
import { FaithError } from '../lib/errors.js'
import { formatPorts } from '../lib/ports.js'
import type * as lists from './access-list.js'
import { Exit, ExitError, exitCodeOf, explain } from './exit.js'
import { helpText } from './help.js'
import { createLog, type Logger } from './log.js'
import { LogLines, QUEUE_BYTES, writeNow } from './log-lines.js'
import { parseOptions } from './options.js'
import { activeLine, refusalLine, sessionLine, totalsLine } from './session-lines.js'
import type { FaithdOptions } from './settings.js'
import { Hangups, stopSignal } from './signals.js'
import { UntoldSums } from './untold.js'
import { limitWarnings, loopbackWarnings } from './warnings.js'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: FaithdOptions
  try {
    options = parseOptions(args)
  } catch (error) {
    writeNow(`faithd: ${explain(error)}\n`)
    return exitCodeOf(error)
  }
  if (options.help) return print(helpText())
  if (options.version) return print(`faithd ${version()}\n`)

  const lines = new LogLines()
  const log = createLog(options, lines.write)
  logTrouble(log)
  log.debug({ options }, `options: ${JSON.stringify(options)}`)
  try {
    return await serve(options, lines, log)
  } catch (error) {
    log.fatal({ code: codeOf(error) }, explain(error))
    return exitCodeOf(error)
  } finally {
    await lines.end()
  }
}

async function serve(options: FaithdOptions, lines: LogLines, log: Logger): Promise<number> {
  if (!options.keepfaith) {
    const why = 'keepfaith is 0, so nothing would be captured; set it to 1 with -k'
    throw new ExitError(Exit.config, why)
  }
  await refuseInspector()
  const { createFaithInterface, setKeepfaith, loadAccessList, reloadAccessList, tellRules } =
    await loadLibrary(lines, log)
  await refuseInspector()
  const stopped = stopSignal()
  const hangups = new Hangups((error) =>
    log.error({ code: codeOf(error) }, `SIGHUP: ${explain(error)}`),
  )

  const accessList = await loadAccessList(options)
  setKeepfaith(true)
  const faith = await createFaithInterface({
    name: options.interface,
    prefixes: options.prefixes,
    routes: options.routes,
    mtu: options.mtu,
    shortcut: options.shortcut,
    unsupported: options.unsupported,
  })
  const lost = new Promise<FaithError>((resolve) => faith.once('error', resolve))
  faith.on('warning', ({ code, message }) => log.warn({ code }, message))
  const relay = await openRelay(faith, accessList, options, log)
  const untold = new UntoldSums(() => relay.stats(), log)
  announce(faith, options, accessList.text, log)
  for (const warning of limitWarnings(options, relay.stats())) log.warn(warning)
  if (options.accessListFile !== undefined) tellRules(log, options.accessListFile, accessList.rules)
  hangups.answerBy(() => reloadAccessList(relay, options, log))
  answerUserSignals((signal) => {
    const sofar = { relay: relay.stats(), interface: faith.stats() }
    log.info(
      { signal, ...sofar },
      `${signal}: ${activeLine(sofar.relay)}; so far ${totalsLine(sofar.relay, sofar.interface)}`,
    )
  })

  const end = await Promise.race([stopped, lost])
  const { shortcut } = faith.stats()
  if (end instanceof FaithError) {
    log.fatal({ code: end.code }, explain(end))
  } else {
    log.info({ signal: end, drainMs: options.drainMs }, `${end}: no longer capturing, draining`)
    await relay.close({ drainMs: options.drainMs })
  }
  // The relay's drain is over: clients have their bytes, or are too late.
  await faith.close({ drainMs: 0 })

  untold.end()
  // Closing the interface clears `shortcut`; the totals report its state before.
  const totals = { relay: relay.stats(), interface: { ...faith.stats(), shortcut } }
  log.info(totals, `ended: ${totalsLine(totals.relay, totals.interface)}`)
  return end instanceof FaithError ? Exit.unavailable : Exit.ok
}

async function openRelay(
  faith: library.FaithInterface,
  accessList: lists.LoadedAccessList,
  options: FaithdOptions,
  log: Logger,
): Promise<library.FaithRelay> {
  // Without `info` lines the log needs no session records, so Rust need not pass them.
  const sessionEvents = log.isLevelEnabled('info')
  const relay = await faith.relay({
    ...options.relay,
    ports: options.ports.map(({ first, last }) => `${first}-${last}`),
    accessList: accessList.text,
    sessionEvents,
  })
  relay.on('exhausted', ({ resource, message }) =>
    log.warn({ resource }, `${message}; new connections wait or are refused, sessions go on`),
  )
  if (sessionEvents) {
    relay.on('session', (session) => log.info({ session }, sessionLine(session)))
    relay.on('refused', (refusal) => log.info({ refusal }, refusalLine(refusal)))
  }
  return relay
}

function announce(
  faith: library.FaithInterface,
  options: FaithdOptions,
  accessList: string,
  log: Logger,
): void {
  const prefixes = [...faith.prefixes]
  const ports = formatPorts(options.ports)
  const { steering, shortcut, workers } = faith.stats()
  log.info(
    { interface: faith.name, prefixes, ports, steering, shortcut, workers },
    `${faith.name} captures ${prefixes.join(', ')}, ports ${ports}, steering by ${steering}`,
  )
  for (const warning of loopbackWarnings(accessList, options)) log.warn(warning)
  if (!forwardsIPv6()) {
    log.warn(
      'IPv6 forwarding is off, so only connections of this host are captured; ' +
        'sysctl -w net.ipv6.conf.all.forwarding=1 turns it on',
    )
  }
}

/** Loads the library late: help and usage errors need no addon. From here on a thread of the addon writes the log. */
async function loadLibrary(lines: LogLines, log: Logger): Promise<typeof library & typeof lists> {
  try {
    const { native } = await import('../lib/native.js')
    lines.useThread(new native.NativeLineWriter(QUEUE_BYTES), (lost) =>
      log.error({ lost }, `${lost} lines of this log were lost: its reader did not keep up`),
    )
    return { ...(await import('../index.js')), ...(await import('./access-list.js')) }
  } catch (error) {
    throw new ExitError(Exit.unavailable, explain(error))
  }
}

/** Sends Node's warnings and crashes to the log. Node would write them to stderr itself, and block on a full pipe. */
function logTrouble(log: Logger): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => log.warn(`${name}: ${message}`))
  process.on('uncaughtException', (error) => {
    log.fatal({ code: codeOf(error) }, `a bug in faithd: ${error.stack ?? explain(error)}`)
    process.exit(Exit.software)
  })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof FaithError ? error.code : undefined
}

function forwardsIPv6(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv6/conf/all/forwarding', 'utf8').trim() !== '0'
  } catch {
    return true
  }
}

function version(): string {
  // The package's own name resolves from cli/ and from dist/cli/.
  const manifest = readFileSync(new URL(import.meta.resolve('faithd/package.json')), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

function print(text: string): number {
  // head(1) may close the pipe early: that is no error.
  process.stdout.on('error', () => {})
  process.stdout.write(text)
  return Exit.ok
}
