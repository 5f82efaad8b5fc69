/**
 * Every setting of faithd: the command line, `--help`, the schema of faithd.toml and the reference of its keys are made from
 * these tables.
 */
import { DNS64 } from './dns64.js'
import { INTERFACE } from './interface.js'
import { LOCAL } from './local.js'
import { LOG } from './log.js'
import { PREF64 } from './pref64.js'
import { PROCESS } from './process.js'
import { RELAY } from './relay.js'

/** The tables of the file, by the name of their settings' place. */
export const TABLES = {
  process: PROCESS,
  log: LOG,
  pref64: PREF64,
  dns64: DNS64,
  local: LOCAL,
  interface: INTERFACE,
  relay: RELAY,
} as const

/** The place of a setting in the file. */
export type Place = keyof typeof TABLES
