/** Loads the access list of a relay: its rules, then those of its files. */
import { checkAccessList, type FaithRelay, readAccessList } from '../index.js'
import { FaithError } from '../lib/errors.js'
import type { RelayConfiguration } from './configuration.js'
import { explain } from './exit.js'
import type { Logger } from './log.js'
import { loopbackWarnings, ruleDoubts } from './warnings.js'

/** An access list without a malformed rule. */
export interface LoadedAccessList {
  text: string
  /** The number of rules. A list without rules permits every public destination. */
  rules: number
}

/**
 * Reads the access list as it is now.
 *
 * @throws FaithError `ERR_FAITH_ACCESS_LIST` for a file that is missing, unreadable or malformed
 */
export async function loadAccessList({
  rules,
  acl,
}: RelayConfiguration): Promise<LoadedAccessList> {
  const files = await Promise.all(acl.map((file) => readAccessList(file)))
  // The comments name the file of each rule, for the log.
  const named = files.flatMap((file, index) => [`#line 1 "${acl[index]}"`, file])
  const text = [...rules.map(ruleLine), ...named].join('\n')
  return { text, rules: checkAccessList(text) }
}

/** Gives a rule in the grammar of faithd.conf(5): one without a client is for every client. */
export function ruleLine(rule: string): string {
  return /^(permit|deny)\b/i.test(rule) ? `::/0 ${rule}` : rule
}

/** Logs the number of rules in force. It warns of empty files, which are legal but seldom meant. */
export function tellRules(log: Logger, what: string, rules: number): void {
  if (rules > 0) log.info({ rules }, `${what}: ${rules} ${rules === 1 ? 'rule' : 'rules'} in force`)
  else log.warn({ rules }, `${what}: no rule, so every public destination is permitted`)
}

/** The result of reading files again. Without files it is empty. */
export interface Reread {
  /** The list in force from now on. */
  list?: LoadedAccessList
  warnings?: string[]
  /** The reason for which the list in force is kept. */
  error?: string
}

/**
 * Reads the files again and puts them in force. On an error it keeps the list in force and logs why; it never throws.
 *
 * @param by - the signal or the request that asked for it
 */
export async function reloadAccessList(
  relay: FaithRelay,
  configuration: RelayConfiguration,
  log: Logger,
  by = 'SIGHUP',
): Promise<Reread> {
  const { acl, 'end-denied': endDenied } = configuration
  if (acl.length === 0) {
    log.info(`${by}: faithd has no access list file to read again; name one with -f`)
    return {}
  }
  try {
    const list = await loadAccessList(configuration)
    await relay.setAccessList(list.text, { endDenied })
    tellRules(log, `${by}: ${acl.join(', ')} read again`, list.rules)
    const warnings = [...ruleDoubts(list.text), ...loopbackWarnings(list.text, configuration)]
    for (const warning of warnings) log.warn(warning)
    return { list, warnings }
  } catch (error) {
    const code = error instanceof FaithError ? error.code : undefined
    const why = explain(error)
    log.error({ code }, `${by}: the access list in force is kept: ${why}`)
    return { error: why }
  }
}
