/** Finds what is wrong now, a sentence each. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { getKeepfaith } from '../../index.js'
import { accessDoubts } from '../../lib/access-list.js'
import type { LoadedAccessList } from '../access-list.js'
import { unaskable } from '../dns64.js'
import { NO_FORWARDING } from '../forwarding.js'
import { emptyOf, missingSources, ownAddresses, ROUTES, routeTo, withoutRoute } from '../meaning.js'
import type { RunningInterface, RunningRelay } from '../running.js'
import type { Context } from './route.js'

/** The state of the host and of this process. */
export interface Host {
  forwarding: boolean
  descriptors: { open: number; limit: number }
}

/** The part of the descriptors that may be open before the rest counts as few. */
const MANY = 0.9

/** Gives a sentence for each thing that is wrong. */
export async function problemsOf(
  { daemon, facts }: Context,
  { forwarding, descriptors }: Host,
): Promise<string[]> {
  const problems: string[] = []
  if (!getKeepfaith()) {
    problems.push('keepfaith is 0: nothing is captured, and sessions stall; set it to 1')
  }
  if (!forwarding) problems.push(NO_FORWARDING)
  const { open, limit } = descriptors
  if (open > limit * MANY) {
    const remedy = "raise the limit with ulimit -n, or with systemd's LimitNOFILE="
    problems.push(`${open} of ${limit} descriptors are open; ${remedy}`)
  }
  const { lastReload } = daemon
  if (lastReload?.applied === false) {
    problems.push(`the last reload failed, and changed nothing: ${lastReload.detail}`)
  }
  const { linesLost, logTrouble, exported } = facts()
  if (logTrouble !== undefined) problems.push(logTrouble)
  if (linesLost > 0) {
    problems.push(`${linesLost} lines of the log were lost: its reader did not keep up`)
  }
  if (exported !== undefined && exported.lost > 0) {
    problems.push(`${exported.lost} records for the IPFIX collector were lost; the log says why`)
  }
  const { advertising, dns64 } = daemon.interfaces
  problems.push(...advertising.problems, ...dns64.problems)
  problems.push(...unaskable(daemon.configuration.dns64))
  const addresses = ownAddresses()
  for (const running of daemon.interfaces) {
    const title = running.faith.name
    problems.push(...emptyOf(running), ...running.troubles.values(), ...(await unrouted(running)))
    for (const relay of running.relays) {
      const sentences = relayProblems(relay, addresses)
      const { ports } = relay.configuration
      problems.push(...sentences.map((sentence) => `${title}, ports ${ports}: ${sentence}`))
    }
  }
  return problems
}

function relayProblems(one: RunningRelay, addresses: ReadonlySet<string>): string[] {
  const { configuration, accessList, relay } = one
  const { sessions, attempts, maxSessions, maxHeld } = relay.stats()
  const problems = missingSources(configuration, addresses)
  if (accessList !== undefined && permitsNothing(accessList)) {
    problems.push('no rule permits anything, so every connection is denied')
  }
  if (maxSessions > 0 && sessions.active >= maxSessions) {
    problems.push(`the limit of ${maxSessions} sessions is reached, so new ones are refused`)
  }
  if (attempts >= maxHeld) {
    problems.push(`${attempts} attempts are under way, and ${maxHeld} SYNs may be held`)
  }
  return problems
}

/**
 * Finds prefixes without a route where faithd makes none. Where faithd makes the routes, it watches them, and reports a
 * loss as a trouble of the interface.
 */
async function unrouted({ faith, configuration }: RunningInterface): Promise<string[]> {
  if (configuration.routes) return []
  const routes: string[] = []
  // A router may have very many routes: they are read piece by piece.
  for await (const line of createInterface({ input: createReadStream(ROUTES) })) {
    const route = routeTo(faith.name, line)
    if (route !== undefined) routes.push(route)
  }
  return withoutRoute(faith.name, [...faith.prefixes], routes)
}

/** A long list takes a while to judge, and does not change. */
const judged = new WeakMap<LoadedAccessList, boolean>()

function permitsNothing(list: LoadedAccessList): boolean {
  if (list.rules === 0) return false
  const known = judged.get(list) ?? accessDoubts(list.text).permitsNothing
  judged.set(list, known)
  return known
}
