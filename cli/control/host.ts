/** Facts about the host and about this process, as the kernel tells them. */
import { readdirSync, readFileSync, statSync } from 'node:fs'

/** Tells if the host forwards IPv6; `true` if the kernel does not say. */
export function forwardsIPv6(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv6/conf/all/forwarding', 'utf8').trim() !== '0'
  } catch {
    return true
  }
}

/** Number of descriptors that this process has open, and the most that it may have. */
export function descriptors(): { open: number; limit: number } {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const [, soft] = /^Max open files +(\d+)/m.exec(limits) ?? []
  return { open: openDescriptors(), limit: Number(soft) }
}

function openDescriptors(): number {
  const folder = '/proc/self/fd'
  // Linux tells the number as the size since 6.2. A listing of thousands of descriptors takes milliseconds,
  // and has a descriptor of its own.
  const { size } = statSync(folder)
  return size > 0 ? size : readdirSync(folder).length - 1
}
