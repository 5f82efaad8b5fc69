/**
 * Sets the TCP congestion control of the benchmark's hosts. A network namespace other than the first can only choose
 * from `net.ipv4.tcp_allowed_congestion_control` (tcp(7)). That is one setting for the whole machine, and by default it
 * may hold only reno and the kernel's own default.
 */
import { readFileSync, writeFileSync } from 'node:fs'

import { Refusal } from './options.js'

const folder = '/proc/sys/net/ipv4/'
const allowedFile = `${folder}tcp_allowed_congestion_control`

/**
 * Lets hosts choose a congestion control until this process ends.
 *
 * @throws Refusal if the kernel has no congestion control of that name
 */
export function allowCongestionControl(name: string): void {
  const known = names(`${folder}tcp_available_congestion_control`)
  if (!known.includes(name)) {
    throw new Refusal(
      `--congestion: this kernel has ${known.join(', ')}, not '${name}'; modprobe tcp_${name} may add it`,
    )
  }
  const allowed = names(allowedFile)
  if (allowed.includes(name)) return
  writeFileSync(allowedFile, [...allowed, name].join(' '))
  process.on('exit', () => writeFileSync(allowedFile, allowed.join(' ')))
}

function names(file: string): string[] {
  return readFileSync(file, 'utf8').trim().split(' ')
}
