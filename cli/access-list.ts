/** The access list of faithd: the rules of the command line, then those of a file that can be read again. */
import { checkAccessList, type FaithRelay, readAccessList } from '../index.js'
import { FaithError } from '../lib/errors.js'
import { explain, UsageError } from './exit.js'
import type { Logger } from './log.js'
import type { FaithdOptions } from './settings.js'
import { loopbackWarnings } from './warnings.js'

type Given = Pick<FaithdOptions, 'rules' | 'accessListFile'>

/** An access list that can be put in force. */
export interface LoadedAccessList {
  text: string
  /** How many rules it has; without any, it permits every public destination. */
  rules: number
}

/**
 * The access list as it is now.
 *
 * @throws UsageError for a rule of the command line; FaithError `ERR_FAITH_ACCESS_LIST` for the file
 */
export async function loadAccessList({ rules, accessListFile }: Given): Promise<LoadedAccessList> {
  const own = rules.map(({ action, destination }) => `::/0 ${action} ${destination}`).join('\n')
  const file = accessListFile === undefined ? '' : await readAccessList(accessListFile)
  return { text: `${own}\n${file}`, rules: count(own) + checkAccessList(file) }
}

/** Reads the file again, and puts it in force or keeps what is; says which, and never fails. */
export async function reloadAccessList(
  relay: FaithRelay,
  options: Given & Pick<FaithdOptions, 'endDenied' | 'relay'>,
  log: Logger,
): Promise<void> {
  const { accessListFile, endDenied } = options
  if (accessListFile === undefined) {
    log.info('SIGHUP: there is no access list file to read again; -f names one')
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

/** Says how many rules are in force. An empty file is legal, and seldom meant. */
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
