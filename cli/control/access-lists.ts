/** Shows access lists, and tells how they decide. */
import { isIPv4 } from 'node:net'
import { extract, type FaithPermission, type FaithProtocol } from '../../index.js'
import { contains } from '../contains.js'
import type { Daemon } from '../daemon.js'
import { protocolsOf } from '../kinds.js'
import { hasPort } from '../ports.js'
import type { RunningInterface, RunningRelay } from '../running.js'
import { CAUSES } from '../session-lines.js'
import { Chunks, jsonItems } from './chunks.js'
import { accessQuery } from './queries.js'
import { route } from './route.js'
import { rulesOf } from './rules.js'
import { accessLists, type AccessTest, accessTests } from './schemas.js'

export const listAccessLists = route({
  method: 'GET',
  path: '/v1/access-lists',
  summary: 'Show the rules of each relay, in their order',
  answer: accessLists,
  work: ({ daemon }) => new Chunks(listing(daemon)),
})

const EVERYTHING = 'Without rules, every public destination is permitted.'
const NOTHING = 'A connection that no rule matches is denied.'

async function* listing({ interfaces }: Daemon): AsyncGenerator<string> {
  yield '{"accessLists":['
  let isFirst = true
  for (const running of interfaces) {
    for (const { number, configuration, accessList } of running.relays) {
      const head = { interface: running.faith.name, relay: number, ports: configuration.ports }
      yield `${isFirst ? '' : ','}${JSON.stringify(head).slice(0, -1)},"rules":[`
      isFirst = false
      if (accessList !== undefined) yield* jsonItems(rulesOf(accessList.text), (rule) => rule)
      const otherwise = (accessList?.rules ?? 0) > 0 ? NOTHING : EVERYTHING
      yield `],"otherwise":${JSON.stringify(otherwise)}}`
    }
  }
  yield ']}'
}

export const testAccess = route({
  method: 'GET',
  path: '/v1/access-lists/test',
  summary: 'Tell how each relay that takes a destination would decide about it, and by which rule',
  query: accessQuery,
  answer: accessTests,
  work: ({ daemon }, { query: { client, destination, port, protocol } }) =>
    [...daemon.interfaces].flatMap((running) =>
      running.relays
        .filter((relay) => takes(running, relay, protocol, destination, port))
        .map((relay) => {
          const asked = { protocol, client, destination: { address: destination, port } }
          const permission = relay.relay.permits(asked)
          return answerOf(running, relay, permission, destination, port)
        }),
    ),
})

/** Tells if a relay would take a destination. One that is an IPv4 address has an IPv6 address with each of them. */
function takes(
  { faith }: RunningInterface,
  { configuration }: RunningRelay,
  protocol: FaithProtocol,
  destination: string,
  port: number,
): boolean {
  if (!protocolsOf(configuration.protocols).includes(protocol)) return false
  // Pings have no port.
  if (protocol !== 'icmp' && !hasPort(configuration.ports, port)) return false
  return isIPv4(destination) || [...faith.prefixes].some((prefix) => contains(prefix, destination))
}

function answerOf(
  running: RunningInterface,
  relay: RunningRelay,
  { permitted, cause, rule, localAddress }: FaithPermission,
  destination: string,
  port: number,
): AccessTest {
  const server = serverOf(running, relay, destination)
  const answer: AccessTest = {
    interface: running.faith.name,
    relay: relay.number,
    permitted,
    explanation: explanationOf(permitted, cause, rule),
  }
  if (cause !== undefined) answer.cause = cause
  if (rule !== undefined) answer.rule = rule
  if (server !== undefined) answer.server = { address: server, port }
  if (localAddress !== undefined) answer.localAddress = localAddress
  return answer
}

function explanationOf(
  permitted: boolean,
  cause: FaithPermission['cause'],
  rule: AccessTest['rule'],
): string {
  const by =
    rule === undefined
      ? ''
      : rule.file === undefined
        ? `, by the rule '${rule.text}'`
        : `, by the rule '${rule.text}' of ${rule.file}:${rule.line}`
  if (permitted) return `It is permitted${by || ', because it is public and there are no rules'}.`
  return `It is denied: ${cause === undefined ? 'the relay does not say why' : CAUSES[cause]}${by}.`
}

/** Gives the server, unless only the mappings of the relay tell it. */
function serverOf(
  { faith }: RunningInterface,
  { configuration }: RunningRelay,
  destination: string,
): string | undefined {
  if (isIPv4(destination)) return destination
  if (configuration.map.length > 0 || configuration.mapping !== 'rfc6052') return undefined
  const prefix = [...faith.prefixes].find((one) => contains(one, destination))
  try {
    return prefix === undefined ? undefined : extract(destination, prefix)
  } catch {
    return undefined
  }
}
