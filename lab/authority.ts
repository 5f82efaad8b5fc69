import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { addresses } from './topology.js'

/** Times for which resolvers may keep the records of the zone, and their absence, in seconds. */
export interface ZoneTimes {
  ttl: number
  absence: number
}

/**
 * Writes the files of a DNS server at port 53 of the lab's server: BIND, as the authority for all names. `records` are lines of
 * the zone. Gives the arguments of `named`.
 */
export function authorityArguments(
  folder: string,
  records: readonly string[],
  { ttl, absence }: ZoneTimes,
): string[] {
  mkdirSync(folder)
  const zone = [
    `$TTL ${ttl}`,
    `. IN SOA ns.example.net. admin.example.net. 1 3600 3600 3600 ${absence}`,
    '. IN NS ns.example.net.',
    `ns.example.net. IN A ${addresses.server}`,
    ...records,
    '',
  ]
  writeFileSync(join(folder, 'zone'), zone.join('\n'))
  const configuration = join(folder, 'named.conf')
  writeFileSync(
    configuration,
    `options {
  directory "${folder}";
  pid-file none;
  session-keyfile none;
  listen-on { ${addresses.server}; };
  listen-on-v6 { none; };
  recursion no;
};
controls { };
zone "." { type primary; file "zone"; };
`,
  )
  return ['-g', '-c', configuration]
}
