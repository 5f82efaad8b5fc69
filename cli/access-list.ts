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

/**
 * Reads the files again and puts them in force. On an error it keeps the list in force and logs why; it never throws.
 * Gives `false` after an error.
 */
export async function reloadAccessList(
  relay: FaithRelay,
  configuration: RelayConfiguration,
  log: Logger,
): Promise<boolean> {
  const { acl, 'end-denied': endDenied } = configuration
  if (acl.length === 0) {
    log.info('SIGHUP: faithd has no access list file to read again; name one with -f')
    return true
  }
  try {
    const { text, rules } = await loadAccessList(configuration)
    await relay.setAccessList(text, { endDenied })
    tellRules(log, `SIGHUP: ${acl.join(', ')} read again`, rules)
    const warnings = [...ruleDoubts(text), ...loopbackWarnings(text, configuration)]
    for (const warning of warnings) log.warn(warning)
    return true
  } catch (error) {
    const code = error instanceof FaithError ? error.code : undefined
    log.error({ code }, `SIGHUP: the access list in force is kept: ${explain(error)}`)
    return false
  }
}
