#!/usr/bin/env node
/**
 * faithd: the daemon. It reads the command line and the configuration file, makes the faith interfaces, relays until a
 * signal stops it, drains the sessions, and logs the totals.
 */
import { answerUserSignal, refuseInspector } from './user-signals.js'
import { writeFileSync } from 'node:fs'
import { FaithError } from '../lib/errors.js'
import type * as checking from './check.js'
import type { Configuration } from './configuration.js'
import type * as controlling from './control/open.js'
import type { ControlServer } from './control/server.js'
import type { ProcessFacts } from './control/snapshot.js'
import type * as meaning from './meaning.js'
import type * as notifying from './notify.js'
import type * as serving from './given-sockets.js'
import type * as running from './daemon.js'
import type * as telling from './tell-status.js'
import type * as users from './user.js'
import { Exit, ExitError, exitCodeOf, explain } from './exit.js'
import { watchForwarding } from './forwarding.js'
import { helpText } from './help.js'
import { parseAddress } from './kinds.js'
import { type Loaded, loadConfiguration } from './load.js'
import { createLog, type Logger, QUEUE_BYTES, writeNow } from './log.js'
import { nativeTarget } from './log-target.js'
import { type CommandLine, parseOptions } from './options.js'
import { passedDescriptors } from './passed.js'
import { Hangups, stopSignal } from './signals.js'
import { version } from './version.js'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const given = passedDescriptors(process.env)
    // Before the first error that would be written to the client.
    if (args.includes('--inetd')) (await importLibrary()).shieldClient()
    if (args[0] === 'install-service') {
      const { installService } = await import('./install-service.js')
      return print(installService(args.slice(1)))
    }
    if (args[0] === 'pref64') {
      const { pref64 } = await import('./pref64/command.js')
      return print(await pref64(args.slice(1)))
    }
    const commandLine = parseOptions(args)
    const { asked } = commandLine
    if (asked.has('help')) return print(helpText())
    if (asked.has('version')) return print(`faithd ${version()}\n`)
    const loaded = await loadConfiguration(commandLine)
    if (asked.has('check')) return await checkOnly(loaded)
    if (asked.has('print-config'))
      return await printConfiguration(loaded.configuration, 'commented')
    return await run(commandLine, loaded, asked.has('inetd') ? [0] : given)
  } catch (error) {
    for (const line of explain(error).split('\n')) writeNow(`faithd: ${line}\n`)
    return exitCodeOf(error)
  }
}

/** Logs from here on, and relays. */
async function run(
  commandLine: CommandLine,
  loaded: Loaded,
  given: readonly number[],
): Promise<number> {
  const { configuration } = loaded
  nameProcess()
  const log = createLog(configuration.log)
  logTrouble(log)
  log.debug({ options: configuration }, `options: ${JSON.stringify(configuration)}`)
  try {
    return await serve(commandLine, loaded, given, log)
  } catch (error) {
    for (const line of explain(error).split('\n')) log.fatal({ code: codeOf(error) }, line)
    return exitCodeOf(error)
  } finally {
    await log.end()
  }
}

async function serve(
  commandLine: CommandLine,
  loaded: Loaded,
  given: readonly number[],
  log: Logger,
): Promise<number> {
  if (given.length === 0) requireKeepfaith(loaded)
  await refuseInspector()
  const library = await loadLibrary(loaded.configuration, log)
  const { check, Daemon, openControl, requireUser, serveGiven, ServiceManager, takeManager } =
    library
  const manager = new ServiceManager(takeManager(process.env), log)
  await refuseInspector()
  const stopped = stopSignal((signal) =>
    log.warn({ signal }, `${signal} again: faithd ends at once, and cuts off what goes on`),
  )
  const hangups = new Hangups((error) =>
    log.error({ code: codeOf(error) }, `SIGHUP: ${explain(error)}`),
  )

  const checked = await check(loaded.configuration, loaded.origin)
  if (loaded.file !== undefined) log.info({ file: loaded.file }, `configuration: ${loaded.file}`)
  if (given.length > 0) {
    const { server } = commandLine
    const sockets = { sockets: given, server, checked, manager, hangups, stopped }
    return await serveGiven(sockets, log)
  }
  requireUser(checked.configuration)
  await using metrics = await startMetrics(loaded.configuration, log)
  const { file } = loaded
  const load = async (): Promise<checking.Checked> => {
    const { configuration, origin } = await loadConfiguration(commandLine, file)
    return await check(configuration, origin)
  }
  const daemon = await Daemon.start(checked, { file, load }, log)
  const control: { server?: ControlServer | undefined } = {}
  const facts = (): ProcessFacts => ({
    version: version(),
    linesLost: log.thread?.linesLost() ?? 0,
    logTrouble: log.thread?.trouble() ?? undefined,
    refusalsSummed: log.thread?.refusalsSummed() ?? 0,
    ...exported(log),
    ...(control.server === undefined ? {} : { control: control.server.counts }),
  })
  const context = { daemon, facts, metrics: () => daemon.metricsText(facts()) }
  control.server = await openControl(context, log).catch(async (error: unknown) => {
    await daemon.abandon()
    throw error
  })
  metrics?.answerBy(context.metrics)
  const failed = daemon.becomeUser()
  if (failed !== undefined) {
    await daemon.stop(failed)
    await control.server?.close()
    return exitCodeOf(failed)
  }
  daemon.announce(checked)
  watchForwarding(log)
  // The log has the error of a reload already.
  hangups.answerBy(() => manager.reloading(() => daemon.reload('SIGHUP').then(nothing, nothing)))
  answerUserSignal('SIGUSR2', () => library.tellStatus(context, log, 'SIGUSR2'))
  manager.ready(() => daemon.status)

  const end = await Promise.race([stopped, daemon.lost])
  manager.stopping(end instanceof FaithError ? 0 : daemon.drainMs)
  await daemon.stop(end)
  await control.server?.close()
  return end instanceof FaithError ? Exit.unavailable : Exit.ok
}

/** Counts the records of the collector, if there is one. */
function exported({ thread, collector }: Logger): Pick<ProcessFacts, 'exported'> {
  return thread === undefined || collector === undefined ? {} : { exported: thread.exported() }
}

/** Serves the metrics, if the configuration asks for them. */
async function startMetrics({ metrics }: Configuration, log: Logger) {
  const address = parseAddress(metrics ?? '')
  if (address === undefined) return undefined
  const { MetricsServer } = await import('./control/metrics-server.js')
  const server = await MetricsServer.listen(address)
  log.info({ metrics }, `metrics: http://${metrics}/metrics`)
  return server
}

/** Refuses a configuration by which faithd would capture nothing. */
function requireKeepfaith({ configuration, file }: Loaded): void {
  if (configuration.keepfaith) return
  const also = file === undefined ? '' : `, or write keepfaith = true in ${file}`
  const why = `keepfaith is 0, so nothing would be captured; set it to 1 with -k${also}`
  throw new ExitError(Exit.config, why)
}

/** Checks everything that can be checked without starting, and prints the configuration in effect. */
async function checkOnly(loaded: Loaded): Promise<number> {
  requireKeepfaith(loaded)
  const { check, doubts } = await importLibrary()
  const checked = await check(loaded.configuration, loaded.origin)
  for (const doubt of doubts(checked)) writeNow(`faithd: warning: ${doubt}\n`)
  return await printConfiguration(loaded.configuration, 'written')
}

async function printConfiguration(
  configuration: Configuration,
  defaults: 'written' | 'commented',
): Promise<number> {
  const { tomlText } = await import('./toml-text.js')
  return print(tomlText(configuration, defaults))
}

type Library = typeof checking &
  typeof meaning &
  typeof notifying &
  typeof running &
  typeof controlling &
  typeof serving &
  typeof telling &
  typeof users

/** Loads the modules that need the addon. Help and usage errors do without. */
async function importLibrary(): Promise<Library> {
  return await orUnavailable(async () => {
    const library = { ...(await import('./check.js')), ...(await import('./daemon.js')) }
    const more = { ...(await import('./meaning.js')), ...(await import('./control/open.js')) }
    const modules = { ...library, ...more, ...(await import('./notify.js')) }
    const last = { ...(await import('./user.js')), ...(await import('./given-sockets.js')) }
    return { ...modules, ...last, ...(await import('./tell-status.js')) }
  })
}

/** Loads the library. From now on a thread of the addon writes the log, where the configuration says. */
async function loadLibrary(configuration: Configuration, log: Logger): Promise<Library> {
  const library = await importLibrary()
  const { native } = await import('../lib/native.js')
  const { unwrap } = await import('../lib/failure.js')
  const thread = unwrap(native.openLog(nativeTarget(configuration), QUEUE_BYTES))
  log.useThread(thread)
  answerUserSignal('SIGUSR1', () => thread.reopen())
  return library
}

/** Runs a step of loading. Its error means that this machine lacks something, such as the addon or threads. */
async function orUnavailable<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    throw new ExitError(Exit.unavailable, explain(error))
  }
}

/** Names the process, so that pgrep, killall, top and ss show faithd and not node. Its arguments stay as they are. */
function nameProcess(): void {
  try {
    writeFileSync('/proc/self/comm', 'faithd')
  } catch {
    // There is no /proc: nothing would show the name.
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

function nothing(): void {}

function print(text: string): number {
  // head(1) may close the pipe early: that is no error.
  process.stdout.on('error', () => {})
  process.stdout.write(text)
  return Exit.ok
}
