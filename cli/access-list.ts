/** Loads the access list of faithd: the rules of the command line, then those of the `--acl` file. */
import { checkAccessList, type FaithRelay, readAccessList } from '../index.js'
import { FaithError } from '../lib/errors.js'
import { explain, UsageError } from './exit.js'
import type { Logger } from './log.js'
import type { FaithdOptions } from './settings.js'
import { loopbackWarnings } from './warnings.js'

type Given = Pick<FaithdOptions, 'rules' | 'accessListFile'>

/** An access list without a malformed rule. */
export interface LoadedAccessList {
  text: string
  /** The number of rules. A list without rules permits every public destination. */
  rules: number
}

/**
 * Reads the access list as it is now.
 *
 * @throws UsageError for a bad rule of the command line; FaithError `ERR_FAITH_ACCESS_LIST` for the file
 */
export async function loadAccessList({ rules, accessListFile }: Given): Promise<LoadedAccessList> {
  const own = rules.map(({ action, destination }) => `::/0 ${action} ${destination}`).join('\n')
  const file = accessListFile === undefined ? '' : await readAccessList(accessListFile)
  return { text: `${own}\n${file}`, rules: count(own) + checkAccessList(file) }
}

/** Reads the file again and puts it in force. On an error it keeps the list in force and logs why; it never throws. */
export async function reloadAccessList(
  relay: FaithRelay,
  options: Given & Pick<FaithdOptions, 'endDenied' | 'relay'>,
  log: Logger,
): Promise<void> {
  const { accessListFile, endDenied } = options
  if (accessListFile === undefined) {
    log.info('SIGHUP: faithd has no access list file to read again; name one with -f')
    return
  }
  try {
    const { text, rules } = await loadAccessList(options)
    await relay.setAccessList(text, { endDenied })
    tellRules(log, `SIGHUP: ${accessListFile} read again`, rules)
    for (const warning of loopbackWarnings(text, options)) log.warn(warning)
  } catch (error) {
    const code = error instanceof FaithError ? error.code : undefined
    log.error({ code }, `SIGHUP: the access list in force is kept: ${explain(error)}`)
  }
}

/** Logs the number of rules in force. It warns of an empty file, which is legal but seldom meant. */
export function tellRules(log: Logger, what: string, rules: number): void {
  if (rules > 0) log.info({ rules }, `${what}: ${rules} ${rules === 1 ? 'rule' : 'rules'} in force`)
  else log.warn({ rules }, `${what}: no rule, so every public destination is permitted`)
}

function count(own: string): number {
  try {
    return checkAccessList(own, 'command line')
  } catch (error) {
    throw new UsageError(explain(error))
  }
}
