/** The parameters of the control interface's queries. Each schema is a JSON Schema too, for the OpenAPI document. */
import { isIP, isIPv6 } from 'node:net'
import * as z from 'zod'
import { show } from '../../lib/option-reader.js'
import { PROTOCOLS } from '../../lib/protocol.js'

/** A complaint about a value, as it stands behind the name of its parameter. */
function wrong(is: string) {
  return { error: ({ input }: { input?: unknown }) => `${show(input)} is not ${is}` }
}

const whole = (least: number, most: number) => {
  const error = wrong(`a whole number from ${least} to ${most}`)
  return z.int(error).min(least, error).max(most, error)
}

const seconds = () => {
  const error = wrong('a number of seconds')
  return z.number(error).min(0, error).max(4_294_967, error)
}

const oneOf = <const T extends readonly string[]>(choices: T) =>
  z.enum(choices, wrong(`one of ${choices.join(', ')}`))

const text = (
  is: string,
  isLegal: (given: string) => boolean,
  documented: Record<string, unknown> = {},
) => z.string().refine(isLegal, wrong(is)).meta(documented)

const patternOf = (schema: z.ZodType) => ({ pattern: z.toJSONSchema(schema).pattern })

/** The forms of a network in the OpenAPI document. */
const FORMS = {
  v6: [{ format: 'ipv6' }, patternOf(z.cidrv6())],
  v4: [{ format: 'ipv4' }, patternOf(z.cidrv4())],
}

function isNetwork(given: string, families: readonly number[]): boolean {
  const [, address = '', length] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(given) ?? []
  const family = isIP(address)
  return families.includes(family) && Number(length ?? 0) <= (family === 6 ? 128 : 32)
}

const clientNetwork = text(
  'an IPv6 address or prefix such as 2001:db8:1::/48',
  (given) => isNetwork(given, [6]),
  { anyOf: FORMS.v6 },
)
const anyNetwork = text(
  'an IP address or prefix such as 198.51.100.0/24',
  (given) => isNetwork(given, [4, 6]),
  { anyOf: [...FORMS.v6, ...FORMS.v4] },
)

/** The filter of sessions. A session matches if it matches every parameter that is given. */
export const sessionFilter = {
  interface: z.string().max(15).optional().describe('The name of the interface.'),
  client: clientNetwork.optional().describe('The client, or a network that it is in.'),
  destination: anyNetwork
    .optional()
    .describe('The address that the client dialled or the server, or a network with one of them.'),
  port: whole(1, 65_535).optional().describe('The port that the client dialled.'),
  protocol: oneOf(PROTOCOLS).optional().describe('The protocol of the session.'),
  state: oneOf(['open', 'client-closed', 'server-closed', 'ending'])
    .optional()
    .describe('The state of the session.'),
  olderThan: seconds().optional().describe('Seconds since its begin, at least.'),
  youngerThan: seconds().optional().describe('Seconds since its begin, at most.'),
  idleFor: seconds().optional().describe('Seconds since a byte moved, at least.'),
  tag: z.string().optional().describe('The tag that a route gave it.'),
}

const ORDERS = ['asc', 'desc'] as const
const limit = whole(0, 100_000).default(100).describe('Most entries of the answer.')
const order = oneOf(ORDERS)
  .optional()
  .describe('Default: the largest first, but addresses from the lowest on.')

export const sessionsQuery = {
  ...sessionFilter,
  sort: oneOf(['age', 'idle', 'bytes', 'up', 'down', 'client', 'destination'])
    .default('age')
    .describe('The order of the sessions.'),
  order,
  limit,
}

export const clientsQuery = {
  prefixLength: whole(0, 128)
    .default(64)
    .describe('Length of the IPv6 prefix that counts as one client.'),
  sort: oneOf(['sessions', 'bytes', 'up', 'down', 'age', 'idle', 'client'])
    .default('sessions')
    .describe('The order of the clients.'),
  order,
  limit,
}

export const accessQuery = {
  client: text('an IPv6 address', isIPv6, { format: 'ipv6' }).describe("The client's address."),
  destination: text('an IP address', (given) => isIP(given) !== 0, {
    anyOf: [{ format: 'ipv6' }, { format: 'ipv4' }],
  }).describe('The IPv6 address that the client would dial, or the IPv4 address of the server.'),
  port: whole(1, 65_535).describe('The port that the client would dial; ignored for pings.'),
  protocol: oneOf(PROTOCOLS).default('tcp').describe('The protocol; `icmp` means pings.'),
}
