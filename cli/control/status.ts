/** Tells the state of faithd, and what is wrong with it. */
import { type FaithDns64Upstream, getKeepfaith } from '../../index.js'
import type { AdvertisedLink } from '../advertising.js'
import type { Dns64State } from '../dns64.js'
import { descriptors, forwardsIPv6 } from './host.js'
import { interfaceBody } from './interface-body.js'
import { type Context, route } from './route.js'
import { type Status, status } from './schemas.js'
import { problemsOf } from './troubles.js'

export const showStatus = route({
  method: 'GET',
  path: '/v1/status',
  summary: 'Show the state of faithd, and what is wrong',
  answer: status,
  work: async (context) => await statusBody(context),
})

/** Gives the interfaces on which the prefixes are advertised, if there are any. */
function advertisementsOf(links: readonly AdvertisedLink[]): Pick<Status, 'advertisements'> {
  if (links.length === 0) return {}
  const advertisements = links.map(({ name, state, ...more }) => ({
    interface: name,
    state: state as NonNullable<Status['advertisements']>[number]['state'],
    ...more,
  }))
  return { advertisements }
}

/** Gives the DNS server, if there is one. */
function dns64Of(state: Dns64State | undefined): Pick<Status, 'dns64'> {
  if (state === undefined) return {}
  const { stats, servers, ...more } = state
  return { dns64: { ...more, servers: servers.map(serverOf), ...stats } }
}

function serverOf({
  upstream,
  trouble,
  ...more
}: FaithDns64Upstream): NonNullable<Status['dns64']>['servers'][number] {
  return { server: upstream, ...more, ...(trouble !== undefined && { trouble }) }
}

/** Gives the state as it is now. */
export async function statusBody(context: Context): Promise<Status> {
  const { daemon, facts } = context
  const { version } = facts()
  const { lastReload, startedAt, file, draining } = daemon
  const host = { forwarding: forwardsIPv6(), descriptors: descriptors() }
  return {
    version,
    pid: process.pid,
    startedAt: startedAt.toISOString(),
    uptimeMs: Date.now() - startedAt.getTime(),
    ...(file === undefined ? {} : { configurationFile: file }),
    ...(lastReload === undefined
      ? {}
      : { lastReload: { ...lastReload, at: lastReload.at.toISOString() } }),
    keepfaith: getKeepfaith(),
    forwarding: host.forwarding,
    draining,
    descriptors: host.descriptors,
    interfaces: await Promise.all([...daemon.interfaces].map(interfaceBody)),
    ...advertisementsOf(daemon.interfaces.advertising.links),
    ...dns64Of(daemon.interfaces.dns64.state),
    problems: await problemsOf(context, host),
  }
}
