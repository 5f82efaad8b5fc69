/** Facts about the host, as the kernel tells them. */
import { readFileSync } from 'node:fs'

/** Tells if the host forwards IPv6; `true` if the kernel does not say. */
export function forwardsIPv6(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv6/conf/all/forwarding', 'utf8').trim() !== '0'
  } catch {
    return true
  }
}
