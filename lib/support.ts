/**
 * What this machine can do, before anything is asked of it.
 *
 * What takes privileges is tried by the addon, on a thread and in a network namespace that end with the trial; what is a
 * setting is read from /proc.
 */
import { readFile } from 'node:fs/promises'
import { native, type NativeSupport } from './native.js'

/**
 * Something that works.
 *
 * @group Diagnostics
 */
export interface FaithSupported {
  /** It works. */
  ok: true
  /** What was found, in one line. */
  detail: string
  /** There is nothing to do. */
  hint?: never
}

/**
 * Something that does not work.
 *
 * @group Diagnostics
 */
export interface FaithUnsupported {
  /** It does not work. */
  ok: false
  /** What was found, in one line. */
  detail: string
  /** What to do about it, in one line. */
  hint: string
}

/**
 * Something works, or does not and then `hint` says what to do about it.
 *
 * @group Diagnostics
 */
export type FaithSupportCheck = FaithSupported | FaithUnsupported

/**
 * What {@link checkSupport} found.
 *
 * @group Diagnostics
 */
export interface FaithSupport {
  /** Whether a faith interface can be created: `tun`, `ipv6` and `namespace`. What else is missing only limits it. */
  ok: boolean
  /** TUN devices in this network namespace: /dev/net/tun can be opened, and CAP_NET_ADMIN is there. */
  tun: FaithSupportCheck
  /** IPv6: the kernel has it, and it is not switched off on every interface. */
  ipv6: FaithSupportCheck
  /** Private network namespaces, with a device inside: CAP_SYS_ADMIN. */
  namespace: FaithSupportCheck
  /**
   * Steering by sk_lookup: Linux 5.9, with CAP_BPF and CAP_NET_ADMIN outside of any user namespace. Without it,
   * listeners are made on demand; see `steering` of {@link FaithInterfaceOptions}.
   */
  skLookup: FaithSupportCheck
  /**
   * Keeping the packets of established connections in the kernel: Linux 6.6 with veth, and privileges as for sk_lookup.
   * Without it they go through the process; see `shortcut` of {@link FaithInterfaceOptions}.
   */
  shortcut: FaithSupportCheck
  /**
   * IPv6 forwarding, the sysctl `net.ipv6.conf.all.forwarding`. Without it only connections that this host itself makes
   * come to a faith interface.
   */
  forwarding: FaithSupportCheck
  /**
   * Descriptors this process may have open: two for each relayed session, so that less than 16384 of them are little for
   * a router.
   */
  descriptors: FaithSupportCheck
}

/**
 * Finds out what this machine and this process can do, and how to mend what they cannot. What is missing is told, never
 * thrown.
 *
 * TUN, namespaces and what needs BPF are tried, in a network namespace that ends with the trial, which takes some
 * milliseconds; nothing of it stays, and no device shows on the host.
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
    ipv6: answer(tried.ipv6, 'IPv6 is there'),
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
  const obstacle = { message: unready.message, hint: unready.hint ?? '' }
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

/** Room for as many sessions as SYNs may be held by default, two descriptors each, twice over. */
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
