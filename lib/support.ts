/**
 * Checks the abilities of this machine, before an interface is made.
 *
 * The addon tries the privileged operations on a thread and in a network namespace that end with the trial. Settings
 * are read from /proc.
 */
import { readFile } from 'node:fs/promises'
import { native, type NativeSupport } from './native.js'

/**
 * A successful check.
 *
 * @group Diagnostics
 */
export interface FaithSupported {
  /** It works. */
  ok: true
  /** The finding, in one line. */
  detail: string
  /** Absent, because nothing needs a remedy. */
  hint?: never
}

/**
 * A failed check.
 *
 * @group Diagnostics
 */
export interface FaithUnsupported {
  /** It does not work. */
  ok: false
  /** The finding, in one line. */
  detail: string
  /** The remedy, in one line. */
  hint: string
}

/**
 * The result of one check. A failed one has a `hint`.
 *
 * @group Diagnostics
 */
export type FaithSupportCheck = FaithSupported | FaithUnsupported

/**
 * The results of {@link checkSupport}.
 *
 * @group Diagnostics
 */
export interface FaithSupport {
  /** `true` if a faith interface can be created: `tun`, `ipv6` and `namespace` are ok. Other failures only limit it. */
  ok: boolean
  /** TUN devices in this network namespace: they need /dev/net/tun and CAP_NET_ADMIN. */
  tun: FaithSupportCheck
  /** IPv6: the kernel has it, and no sysctl switches it off on all interfaces. */
  ipv6: FaithSupportCheck
  /** Private network namespaces, with a device inside: they need CAP_SYS_ADMIN. */
  namespace: FaithSupportCheck
  /**
   * Steering by sk_lookup: it needs Linux 5.9, and CAP_BPF and CAP_NET_ADMIN outside any user namespace. Without it,
   * listening sockets are made on demand; see `steering` of {@link FaithInterfaceOptions}.
   */
  skLookup: FaithSupportCheck
  /**
   * The shortcut, which keeps the packets of established connections in the kernel: it needs Linux 6.6 with veth, and
   * privileges as for sk_lookup. Without it they go through the process; see `shortcut` of
   * {@link FaithInterfaceOptions}.
   */
  shortcut: FaithSupportCheck
  /**
   * IPv6 forwarding, the sysctl `net.ipv6.conf.all.forwarding`. Without it a faith interface captures only connections
   * of this host itself.
   */
  forwarding: FaithSupportCheck
  /**
   * The limit of open descriptors. A relayed session takes two, so the check fails below 16384, which is little for a
   * router.
   */
  descriptors: FaithSupportCheck
}

/**
 * Checks the abilities of this machine and this process, and gives a remedy for each that is missing. Never throws.
 *
 * TUN, namespaces and BPF are tried in a network namespace that ends with the trial. This takes some milliseconds,
 * leaves nothing behind, and shows no device on the host.
 *
 * @example
 * ```ts
 * const { ok, ...checks } = await checkSupport()
 * for (const [name, check] of Object.entries(checks)) {
 *   console.log(check.ok ? `${name}: ${check.detail}` : `${name}: ${check.detail}; ${check.hint}`)
 * }
 * process.exitCode = ok ? 0 : 69
 * ```
 *
 * @group Diagnostics
 */
export async function checkSupport(): Promise<FaithSupport> {
  const [tried, forwarding, descriptors] = await Promise.all([
    probe(),
    checkForwarding(),
    checkDescriptors(),
  ])
  return {
    ok: !tried.tun && !tried.ipv6 && !tried.namespace,
    tun: answer(tried.tun, 'TUN devices can be made'),
    ipv6: answer(tried.ipv6, 'IPv6 is available'),
    namespace: answer(tried.namespace, 'network namespaces can be made'),
    skLookup: answer(tried.skLookup, 'sk_lookup programs can be attached'),
    shortcut: answer(tried.shortcut, 'packets of connections can stay in the kernel'),
    forwarding,
    descriptors,
  }
}

async function probe(): Promise<NativeSupport> {
  const unready = native.unready()
  if (!unready) return await native.probeSupport()
  const { message, hint = 'free memory, or raise the limits of the process' } = unready
  const obstacle = { message, hint }
  return {
    tun: obstacle,
    ipv6: obstacle,
    namespace: obstacle,
    skLookup: obstacle,
    shortcut: obstacle,
  }
}

function answer(
  obstacle: { message: string; hint: string } | undefined,
  detail: string,
): FaithSupportCheck {
  if (obstacle === undefined) return { ok: true, detail }
  return { ok: false, detail: obstacle.message, hint: obstacle.hint }
}

async function checkForwarding(): Promise<FaithSupportCheck> {
  const file = '/proc/sys/net/ipv6/conf/all/forwarding'
  const setting = await read(file)
  if (setting === undefined) {
    const hint = 'mount /proc, and boot without ipv6.disable=1'
    return { ok: false, detail: `${file} cannot be read`, hint }
  }
  const detail = `net.ipv6.conf.all.forwarding is ${setting.trim()}`
  if (Number(setting) !== 0) return { ok: true, detail }
  return { ok: false, detail, hint: 'as root: sysctl net.ipv6.conf.all.forwarding=1' }
}

/** Room for 8192 sessions, twice the default of `maxHeld`, with two descriptors each. */
const ENOUGH_DESCRIPTORS = 16_384

async function checkDescriptors(): Promise<FaithSupportCheck> {
  const file = '/proc/self/limits'
  const limits = await read(file)
  const soft = /^Max open files +(\S+)/m.exec(limits ?? '')?.[1]
  if (soft === undefined)
    return { ok: false, detail: `${file} cannot be read`, hint: 'mount /proc' }
  const detail = `${soft} descriptors may be open, two of them for each relayed session`
  if (soft === 'unlimited' || Number(soft) >= ENOUGH_DESCRIPTORS) return { ok: true, detail }
  const hint = 'raise the limit: ulimit -n 1048576, or LimitNOFILE=1048576 of a systemd service'
  return { ok: false, detail, hint }
}

async function read(file: string): Promise<string | undefined> {
  return await readFile(file, 'utf8').catch(() => undefined)
}
