/**
 * `faithd pref64`: prints the configuration that has another daemon advertise the prefixes of faithd. The prefixes are those
 * of `-P`, of the configuration file, or of the running daemon, in this order.
 */
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { CONTROL_SOCKET } from '../settings/process.js'
import { explain, Exit, ExitError, UsageError } from '../exit.js'
import { DEFAULT_FILE } from '../load.js'
import type { FaithInterfaceStatus } from '../control/schemas.js'
import { type Pref64, readLifetime, readPref64, USUAL_LIFETIME } from './prefix.js'
import { type Advertiser, ADVERTISERS, recipeText, usualLink } from './recipes.js'

/** The options. */
export const PREF64_OPTIONS = {
  for: { type: 'string', value: ADVERTISERS.join('|'), help: 'daemon that sends advertisements' },
  prefix: { type: 'string', short: 'P', multiple: true, value: 'PREFIX', help: 'prefix' },
  lifetime: { type: 'string', value: 'SECONDS', help: 'lifetime of the prefix' },
  link: { type: 'string', value: 'IFACE', help: 'interface that the clients are at' },
  config: { type: 'string', short: 'c', value: 'FILE', help: 'file to take the prefixes from' },
  control: { type: 'string', value: 'PATH', help: 'socket of the faithd to ask for them' },
} as const

type Values = ReturnType<typeof strict>

/**
 * Gives the text for the operator.
 *
 * @throws UsageError for a wrong option or prefix; ExitError where no prefix is found
 */
export async function pref64(args: readonly string[]): Promise<string> {
  const values = strict(args)
  const advertiser = advertiserOf(values.for)
  const lifetime =
    values.lifetime === undefined
      ? USUAL_LIFETIME
      : used('--lifetime', values.lifetime, readLifetime)
  const prefixes = await prefixesOf(values)
  return recipeText(advertiser, {
    prefixes,
    lifetime,
    hasOwnLifetime: values.lifetime !== undefined,
    link: values.link === undefined ? usualLink(advertiser) : used('--link', values.link, readLink),
  })
}

function strict(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: PREF64_OPTIONS, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError(`pref64: ${explain(error)}`)
  }
}

function advertiserOf(given: string | undefined): Advertiser {
  const found = ADVERTISERS.find((each) => each === given)
  if (found !== undefined) return found
  const names = ADVERTISERS.join(', ')
  throw new UsageError(
    given === undefined
      ? `pref64: name the daemon with --for: ${names}`
      : `--for: '${given}' is not one of ${names}`,
  )
}

/** Reads the value of an option. */
function used<T>(option: string, given: string, read: (given: string) => T): T {
  try {
    return read(given)
  } catch (error) {
    throw new UsageError(`${option}: ${explain(error)}`)
  }
}

/** Reads the name of an interface, which becomes part of a command. */
function readLink(given: string): string {
  if (/^[\w.:@-]{1,15}$/.test(given)) return given
  throw new Error(`'${given}' is not the name of an interface`)
}

async function prefixesOf({ prefix, config, control }: Values): Promise<Pref64[]> {
  if (prefix !== undefined) {
    return different(prefix.map((given) => used('-P', given, readPref64)))
  }
  if (config !== undefined) return await fromFile(config)
  if (control !== undefined) return await fromDaemon(control)
  if (existsSync(DEFAULT_FILE)) return await fromFile(DEFAULT_FILE)
  if (existsSync(CONTROL_SOCKET)) return await fromDaemon(CONTROL_SOCKET)
  throw new ExitError(
    Exit.config,
    `no prefix: there is neither ${DEFAULT_FILE} nor a running faithd at ${CONTROL_SOCKET}; ` +
      'give one with -P 64:ff9b::/96',
  )
}

/** The prefixes of a configuration file. A host computes addresses by RFC 6052, so the relays must do the same. */
async function fromFile(path: string): Promise<Pref64[]> {
  const { readConfigurationFile } = await import('../configuration-file.js')
  const { configuration } = await readConfigurationFile(path)
  const found = configuration.interface.flatMap(({ prefixes, relay }) =>
    readAll(path, prefixes).map((prefix) => {
      if (prefix.length !== 96 && relay.some(({ mapping }) => mapping === 'low32')) {
        throw new ExitError(
          Exit.config,
          `${path}: ${prefix.text} has mapping = "low32", and hosts that learn a prefix compute addresses by ` +
            'RFC 6052; both agree on a /96 alone',
        )
      }
      return prefix
    }),
  )
  return some(path, found)
}

async function fromDaemon(path: string): Promise<Pref64[]> {
  const { Daemon } = await import('../ctl/daemon.js')
  const daemon = new Daemon(path)
  try {
    const { body } = await daemon.get<{ interfaces: FaithInterfaceStatus[] }>('/v1/interfaces')
    return some(
      path,
      readAll(
        path,
        body.interfaces.flatMap(({ prefixes }) => prefixes),
      ),
    )
  } finally {
    daemon.close()
  }
}

function readAll(path: string, prefixes: readonly string[]): Pref64[] {
  return prefixes.map((prefix) => {
    try {
      return readPref64(prefix)
    } catch (error) {
      throw new ExitError(Exit.config, `${path}: ${explain(error)}`)
    }
  })
}

function some(path: string, prefixes: readonly Pref64[]): Pref64[] {
  if (prefixes.length > 0) return different(prefixes)
  throw new ExitError(Exit.config, `${path}: there is no prefix; give one with -P 64:ff9b::/96`)
}

function different(prefixes: readonly Pref64[]): Pref64[] {
  return prefixes.filter(
    ({ text }, at) => prefixes.findIndex((other) => other.text === text) === at,
  )
}
