/** DNS servers of Debian: their files in a folder of the lab, and their arguments. Each stays the user that starts it. */
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

/** A zone of NSD: its name, and the file with its records. */
export interface Zone {
  name: string
  file: string
}

/** Writes the file of NSD at port 53 of an address, with lines of its clause `server:`. Gives the arguments of `nsd`. */
export function nsdArguments(
  folder: string,
  address: string,
  { name, file }: Zone,
  ...lines: readonly string[]
): string[] {
  mkdirSync(folder, { recursive: true })
  const configuration = join(folder, 'nsd.conf')
  const text = [
    'server:',
    `ip-address: ${address}`,
    'username: ""',
    'pidfile: ""',
    'database: ""',
    `zonesdir: "${folder}"`,
    `zonelistfile: "${folder}/zone.list"`,
    `xfrdfile: "${folder}/xfrd.state"`,
    `xfrdir: "${folder}"`,
    'logfile: ""',
    'server-count: 1',
    ...lines,
    'remote-control:',
    'control-enable: no',
    'zone:',
    `name: "${name}"`,
    `zonefile: "${file}"`,
  ]
  writeFileSync(configuration, `${text.join('\n')}\n`)
  return ['-d', '-c', configuration]
}

export interface UnboundOptions {
  /** The addresses of its own, each with `@` and a port if that is not 53. */
  listen: readonly string[]
  /** The server that it asks about everything. By default it asks those of the root. */
  forward?: string
}

/**
 * Writes the file of unbound, which answers every client, with lines of its clause `server:`. Gives the arguments of
 * `unbound`.
 */
export function unboundArguments(
  folder: string,
  { listen, forward }: UnboundOptions,
  ...lines: readonly string[]
): string[] {
  mkdirSync(folder, { recursive: true })
  const configuration = join(folder, 'unbound.conf')
  const text = [
    'server:',
    'username: ""',
    'chroot: ""',
    'pidfile: ""',
    'use-syslog: no',
    'num-threads: 1',
    `directory: "${folder}"`,
    ...listen.map((address) => `interface: ${address}`),
    'access-control: 0.0.0.0/0 allow',
    'access-control: ::/0 allow',
    ...lines,
    'remote-control:',
    'control-enable: no',
    ...(forward === undefined ? [] : ['forward-zone:', 'name: "."', `forward-addr: ${forward}`]),
  ]
  writeFileSync(configuration, `${text.join('\n')}\n`)
  return ['-d', '-c', configuration]
}
