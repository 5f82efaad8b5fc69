/** Loads the configuration: the file, where there is one, and the options of the command line that override it. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Configuration, defaults, override } from './configuration.js'
import type { CommandLine } from './options.js'
import { type Origin, originOf } from './origin.js'

/** The file that faithd reads where it exists and `--config` names no other. */
export const DEFAULT_FILE = '/etc/faithd/faithd.toml'

/** A configuration, before what it means is checked. */
export interface Loaded {
  configuration: Configuration
  /** The file that it comes from, if there is one. */
  file: string | undefined
  /** Tells where a value was given. */
  origin: Origin
}

/**
 * Loads the configuration as it is now.
 *
 * @param path - the file; by default the one of `--config`, or the default one where it exists
 * @throws ConfigurationError with every complaint about the file; UsageError for an option that does not fit it
 */
export async function loadConfiguration(
  { asked, overrides }: CommandLine,
  path = asked.get('config') ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined),
): Promise<Loaded> {
  // The parser and the schema are loaded for a file alone: without, faithd starts sooner.
  const read =
    path === undefined
      ? undefined
      : await (await import('./configuration-file.js')).readConfigurationFile(path)
  const configuration = override(read?.configuration ?? defaults(), overrides)
  const file = path === undefined ? undefined : resolve(path)
  return { configuration, file, origin: originOf(read, overrides) }
}
