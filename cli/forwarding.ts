/** Watches if the host forwards IPv6. Without, faithd captures only the connections of the host itself. */
import { forwardsIPv6 } from './control/host.js'
import type { Logger } from './log.js'

/** The time between two looks. The kernel gives no notice of a change. */
const INTERVAL_MS = 5000

/** A sentence for the time in which the host does not forward. */
export const NO_FORWARDING =
  'IPv6 forwarding is off, so only connections of this host are captured; ' +
  'sysctl -w net.ipv6.conf.all.forwarding=1 turns it on'

/** Logs a warning if forwarding is off, now and whenever it goes off, and a line when it is on again. */
export function watchForwarding(log: Logger): void {
  let was = true
  const look = (): void => {
    const forwards = forwardsIPv6()
    if (was && !forwards) log.warn(NO_FORWARDING)
    if (!was && forwards) log.info('IPv6 forwarding is on again')
    was = forwards
  }
  look()
  setInterval(look, INTERVAL_MS).unref()
}
