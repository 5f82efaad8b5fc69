/** The schema of the lines that `faithd --log-format json` writes. */
import * as z from 'zod'

const count = z.int().min(0)
const milliseconds = z.number().min(0)
const counts = z.record(z.string(), count)
const endpoint = z.strictObject({ address: z.string(), port: z.int().min(0).max(65_535) })
const cause = z.string().describe('The cause, where the reason leaves it open: denied-by-rule.')
const ends = {
  id: count.describe('Unique within the relay, in the order in which attempts began.'),
  protocol: z.enum(['tcp', 'udp', 'icmp']).describe('The protocol of the client.'),
  client: endpoint,
  destination: endpoint
    .optional()
    .describe('The address and port that the client dialled; absent with --no-log-destinations.'),
  server: endpoint.optional(),
  tag: z.string().optional().describe('The mark that a route gave it.'),
}
const name = z
  .string()
  .optional()
  .describe('The name for which the DNS server of faithd had given the client the address.')
const source = endpoint
  .optional()
  .describe(
    'The address and port that the server sees, with --log-sources or --no-log-destinations.',
  )
const times = {
  startedAt: z.iso.datetime().describe("Time of the client's SYN or accepted connection, in UTC."),
  durationMs: milliseconds.describe('Time from then to the end, in milliseconds.'),
}
const rule = z.strictObject({
  text: z.string().describe('The rule in the grammar of faithd.conf(5).'),
  file: z.string().optional().describe('Its file; absent for a rule of the configuration.'),
  line: count.optional().describe('Its line in the file, or its number in the configuration.'),
})

const line = z.strictObject({
  level: z.enum(['fatal', 'error', 'warn', 'info', 'debug']),
  time: z.iso.datetime().describe('Time in UTC.'),
  msg: z.string().describe('The sentence of the text form.'),
  session: z
    .strictObject({
      ...ends,
      name,
      source,
      ...times,
      bytesUp: count.describe('Bytes from the client to the server.'),
      bytesDown: count.describe('Bytes from the server to the client.'),
      reason: z.string(),
      cause: cause.optional(),
    })
    .optional()
    .describe('A session that ended.'),
  refusal: z
    .strictObject({
      ...ends,
      ...times,
      reason: z.string(),
      cause: cause.optional(),
      rule: rule.optional().describe('The rule that denied it.'),
      code: z.string().optional().describe('The error of the kernel: EHOSTUNREACH.'),
    })
    .optional()
    .describe('An attempt that became no session.'),
  begin: z
    .strictObject({ ...ends, name, source })
    .optional()
    .describe('A session that begins, with --log-begin.'),
  untold: z
    .strictObject({
      network: z.string().optional().describe('The clients; absent for all other networks.'),
      refused: counts.describe('Attempts by cause, or by reason if they have no cause.'),
    })
    .optional()
    .describe('Refused attempts that got no line of their own.'),
  intervalMs: count.optional().describe('Time that `untold` covers, in milliseconds.'),
  lost: count.optional().describe('Lines that were lost here, because the reader was too slow.'),
  advertised: z
    .strictObject({
      interface: z.string().describe('The interface that leads to the hosts.'),
      state: z.enum(['absent', 'advertising', 'failing', 'conflict']),
      source: z.string().optional().describe('The address that advertisements come from.'),
    })
    .optional()
    .describe('An interface on which faithd begins or ceases to advertise the prefixes.'),
  dns64: z
    .strictObject({
      addresses: z.array(z.string()).describe('The addresses that faithd answers at.'),
      upstreams: z
        .array(z.string())
        .describe('The DNS servers to ask; empty if they are those of /etc/resolv.conf.'),
    })
    .optional()
    .describe('The DNS server, when it begins.'),
  upstream: z
    .strictObject({
      server: z.string().describe('The URL of the DNS server, with its port.'),
      trouble: z.string().optional().describe('The reason why it cannot be asked.'),
    })
    .optional()
    .describe('A DNS server that cannot be asked over TLS or HTTPS, or that answers again.'),
  dns64Warning: z
    .strictObject({
      code: z.enum(['client-refused', 'upstream-own', 'upstream-loop']),
      address: z.string().describe('The address of the client, or of the DNS server to ask.'),
    })
    .optional()
    .describe('A fault of the DNS server: a client without answers, or itself among those to ask.'),
  portBlock: z
    .strictObject({
      network: z.string().describe('The client network.'),
      source: z.string().describe('The address that its connections come from.'),
      first: count.describe('The first port of the block.'),
      last: count.describe('The last port of the block.'),
      assignedAt: z.iso.datetime().describe('Time at which the clients got it, in UTC.'),
      releasedAt: z.iso.datetime().optional().describe('Time at which they gave it back.'),
    })
    .optional()
    .describe('A block of source ports that a client network got or gave back.'),
  unexported: z
    .strictObject({
      collector: z.string(),
      records: count.describe('Records that the collector did not get.'),
      error: z
        .string()
        .optional()
        .describe('The error of the kernel; absent if the queue was full.'),
    })
    .optional()
    .describe('Records that were lost on the way to the IPFIX collector.'),
  code: z.string().optional().describe('The code of a warning or an error.'),
  resource: z.string().optional().describe('The resource that this host lacks.'),
  rules: count.optional().describe('Rules in force.'),
  file: z.string().optional().describe('The configuration file.'),
  changes: z.array(z.string()).optional().describe('The changes of a reload, a sentence each.'),
  signal: z.string().optional(),
  log: z.string().optional().describe('The place of the log, beside SIGUSR1.'),
  status: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('The state of faithd, as GET /v1/status of the control socket gives it.'),
  drainMs: milliseconds.optional().describe('Longest time for sessions to end.'),
  interface: z
    .union([z.string(), z.record(z.string(), z.unknown())])
    .optional()
    .describe('The name of an interface; beside `relay`, the totals of the interface.'),
  prefixes: z.array(z.string()).optional().describe('The prefixes that the interface captures.'),
  ports: z.string().optional().describe('The ports that it relays.'),
  steering: z.string().optional(),
  shortcut: z.boolean().optional(),
  workers: count.optional(),
  relay: z.record(z.string(), z.unknown()).optional().describe('The totals of the relays.'),
  options: z.record(z.string(), z.unknown()).optional().describe('The configuration, at debug.'),
  control: z.string().optional().describe('The path of the control socket.'),
  request: z
    .string()
    .optional()
    .describe('A request over the control socket that changes something.'),
  metrics: z.string().optional().describe('The address at which metrics are served.'),
  user: z.string().optional().describe('The user that faithd became.'),
  uid: count.optional().describe('The number of that user.'),
  pages: count.optional().describe('Pages that the pipes of that user may have.'),
  worker: z.string().optional().describe('A worker that does not answer.'),
})

/** The schema of a line, as JSON Schema. */
export function logSchema(): object {
  return z.toJSONSchema(
    line.meta({
      title: 'A line of the log of faithd',
      description: 'faithd --log-format json writes such an object to each line.',
    }),
    { target: 'draft-2020-12' },
  )
}
