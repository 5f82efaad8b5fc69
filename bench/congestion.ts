/**
 * TCP congestion control of the benchmark's hosts. A network namespace other than the first may only choose what
 * `net.ipv4.tcp_allowed_congestion_control` names (tcp(7)), which is one setting of the whole machine, and in which
 * the kernel's own choice may be all there is beside reno.
 */
import { readFileSync, writeFileSync } from 'node:fs'

import { Refusal } from './options.js'

const folder = '/proc/sys/net/ipv4/'
const allowedFile = `${folder}tcp_allowed_congestion_control`

/**
 * Lets hosts choose a congestion control until this process ends.
 *
 * @throws Refusal when the kernel has none of that name
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
