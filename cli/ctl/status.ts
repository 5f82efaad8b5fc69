/** Shows the state of the daemon and of its interfaces. */
import type { FaithInterfaceStatus, RelayStatus, Status } from '../control/schemas.js'
import { version } from '../version.js'
import { facts, wrap } from './table.js'
import { type Run, show } from './task.js'
import { bytes, counted, duration, grouped } from './units.js'

export const run: Run = async ({ daemon }) => {
  const answer = await daemon.get<Status>('/v1/status')
  const [own, theirs] = [version(), answer.body.version]
  const warning =
    own === theirs
      ? undefined
      : `this is faithctl ${own}, and the daemon is faithd ${theirs}; restart faithd after an upgrade`
  return { ...show(answer, statusLines), warning }
}

/** Makes the lines of the state. */
export function statusLines(status: Status, width: number): string[] {
  const { lastReload, descriptors } = status
  const used = Math.round((descriptors.open / Math.max(1, descriptors.limit)) * 100)
  return [
    `faithd ${status.version}, pid ${status.pid}, up ${duration(status.uptimeMs)}` +
      (status.draining ? ', draining: it ends when its sessions have ended' : ''),
    ...status.problems.flatMap((problem) => wrap(`problem: ${problem}`, width)),
    '',
    ...facts(
      [
        ['keepfaith', status.keepfaith ? '1' : '0: nothing is captured'],
        [
          'forwarding',
          status.forwarding ? 'on' : 'off: only connections of this host are captured',
        ],
        [
          'descriptors',
          `${grouped(descriptors.open)} of ${grouped(descriptors.limit)} (${used} %)`,
        ],
        ['configuration', status.configurationFile ?? 'the command line alone'],
        [
          'last reload',
          lastReload &&
            `${lastReload.at}, ${lastReload.applied ? 'applied' : 'refused'}: ${lastReload.detail}`,
        ],
      ],
      width,
    ),
    ...advertisementLines(status.advertisements ?? [], width),
    ...dns64Lines(status.dns64, width),
    ...status.interfaces.flatMap((faith) => ['', ...interfaceLines(faith, width)]),
  ]
}

/** Tells where hosts hear the prefixes. */
function advertisementLines(links: NonNullable<Status['advertisements']>, width: number): string[] {
  if (links.length === 0) return []
  const rows = links.map((link): [string, string] => [
    link.interface,
    [
      link.state === 'advertising'
        ? `advertised from ${link.source}`
        : `not advertised: ${link.state}`,
      ...(link.reason === undefined ? [] : [link.reason]),
      `${grouped(link.sent)} sent`,
      `${grouped(link.failed)} failed`,
      counted(link.solicitations, 'solicitation'),
    ].join(', '),
  ])
  return ['', 'PREF64:', ...facts(rows, width - 2).map((line) => `  ${line}`)]
}

/** Tells what the DNS server has answered. */
function dns64Lines(dns64: Status['dns64'], width: number): string[] {
  if (dns64 === undefined) return []
  const { addresses, upstreams, servers, udpQueries, tcpQueries, tlsQueries } = dns64
  const { upstreamQueries, upstreamFailures, loops } = dns64
  const { dropped, rejected, refused, rateLimited, overloaded } = dns64
  const { synthesised, denied, unusable, local, cached, cacheEvictions, truncated } = dns64
  const asked = upstreams.length > 0 ? upstreams.join(', ') : 'those of /etc/resolv.conf'
  const rows: [string, string][] = [
    ['addresses', addresses.join(', ')],
    [
      'queries',
      `${grouped(udpQueries)} over UDP, ${grouped(tcpQueries)} over TCP, ${grouped(tlsQueries)} over TLS`,
    ],
    [
      'answers',
      `${grouped(synthesised)} synthesised, ${grouped(local)} about ipv4only.arpa, ` +
        `${grouped(cached)} out of the cache, ${grouped(truncated)} truncated`,
    ],
    [
      'not given',
      `${grouped(denied)} that no access list permits, ` +
        `${grouped(unusable)} that the prefix cannot have`,
    ],
    ['cache', `${grouped(cacheEvictions)} left early because it was full`],
    [
      'refused',
      countsText({
        rejected,
        'from strangers': refused,
        'rate-limited': rateLimited,
        overloaded,
        dropped,
      }),
    ],
    [
      'upstreams',
      `${asked}: ${grouped(upstreamQueries)} asked, ${grouped(upstreamFailures)} that no server answered` +
        (loops > 0 ? `, ${grouped(loops)} in a loop` : ''),
    ],
    ...servers.map((one): [string, string] => ['upstream', upstreamText(one)]),
  ]
  return ['', 'DNS64:', ...facts(rows, width - 2).map((line) => `  ${line}`)]
}

/** Tells how a DNS server has answered faithd. */
function upstreamText(one: NonNullable<Status['dns64']>['servers'][number]): string {
  const { server, queries, answered, unanswered, loops, condition, trouble } = one
  const states = {
    good: [],
    failing: [trouble ?? 'failing'],
    loop: ['asks faithd back'],
    own: ['is faithd itself, and is not asked'],
  }
  return [
    `${server}: ${grouped(queries)} asked`,
    `${grouped(answered)} answered`,
    `${grouped(unanswered)} without an answer`,
    ...(loops > 0 ? [`${grouped(loops)} in a loop`] : []),
    ...states[condition],
  ].join(', ')
}

function interfaceLines(faith: FaithInterfaceStatus, width: number): string[] {
  const { captured, returned, syns } = faith
  const made = faith.configured ? '' : ', made over the control socket'
  const rows: [string, string][] = [
    ['prefixes', faith.prefixes.join(', ')],
    [
      'capture',
      `steering by ${faith.steering}, shortcut ${faith.shortcut ? 'on' : 'off'}, ` +
        `${counted(faith.workers, 'worker')}, MTU ${faith.mtu}${made}`,
    ],
    ['packets', `${traffic(captured)} captured, ${traffic(returned)} returned`],
    [
      'SYNs',
      `${grouped(syns.held)} held so far; accepted without a hold: ${grouped(syns.beyondHold)} beyond the ` +
        `limit, ${grouped(syns.beyondClientHold)} beyond that of a client`,
    ],
    ['dropped', countsText(faith.drops)],
    ...faith.sources.map((source): [string, string] => ['source', sourceText(source)]),
    ...faith.relays.flatMap(relayFacts),
  ]
  return [`${faith.name}:`, ...facts(rows, width - 2).map((line) => `  ${line}`)]
}

function relayFacts(relay: RelayStatus): [string, string][] {
  const { sessions, limits, refused } = relay
  const most = limits.maxSessions === 0 ? '' : ` of ${grouped(limits.maxSessions)}`
  return [
    [
      `relay ${relay.number}`,
      `ports ${relay.ports}, ${counted(relay.rules, 'rule')}` +
        (relay.retired ? ', retired: it takes no more connections' : ''),
    ],
    [
      '  sessions',
      `${grouped(sessions.active)}${most} active, ${counted(relay.attempts, 'attempt')} under way, ` +
        `${grouped(sessions.begun)} begun`,
    ],
    ['  limits', limitsText(limits)],
    ['  ended', countsText(sessions.ended)],
    ...(sessions.ended['aborted'] === 0
      ? []
      : [['  aborted', countsText(sessions.aborted)] as [string, string]]),
    ['  refused', countsText(refused.byCause)],
    ['  bytes', `${bytes(sessions.bytesUp)} up, ${bytes(sessions.bytesDown)} down`],
  ]
}

/** Tells how far the ports of a source address are used. */
function sourceText(source: FaithInterfaceStatus['sources'][number]): string {
  const { address, sessions, ports, portBlocks, maxPortBlocks } = source
  const blocks =
    maxPortBlocks === 0 ? '' : `, ${grouped(portBlocks)} of ${grouped(maxPortBlocks)} blocks`
  return `${address}: ${counted(sessions, 'session')}, ${grouped(ports)} ports to a server${blocks}`
}

/** Lists the limits that there are. */
function limitsText(limits: RelayStatus['limits']): string {
  const { maxHeld, maxHeldPerClient, maxRatePerClient, maxSessions, maxSessionsPerClient } = limits
  const client = `a client (/${limits.clientPrefixLength})`
  const some: [number, string][] = [
    [maxSessions, 'sessions'],
    [maxSessionsPerClient, `sessions of ${client}`],
    [maxRatePerClient, `new sessions a second of ${client}`],
    [maxHeld, 'held SYNs'],
    [maxHeldPerClient, `held SYNs of ${client}`],
  ]
  return some
    .filter(([most]) => most > 0)
    .map(([most, what]) => `${grouped(most)} ${what}`)
    .join(', ')
}

function traffic({ packets, bytes: count }: { packets: number; bytes: number }): string {
  return `${counted(packets, 'packet')} (${bytes(count)})`
}

/** Sums counts, and lists those above zero, the largest first. */
function countsText(counts: Readonly<Record<string, number>>): string {
  const some = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .toSorted(([, one], [, other]) => other - one)
  const total = some.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return '0'
  return `${grouped(total)} (${some.map(([name, count]) => `${grouped(count)} ${name}`).join(', ')})`
}
