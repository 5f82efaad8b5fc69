/**
 * Loads the Rust addon. This is the only file that may import `#native`: the addon's values are loosely typed (strings
 * for unions, failures as values), so the library must convert them before they reach the public API.
 *
 * npm installs the addon as a package of the platform (`faithd-linux-x64-gnu`). In a checkout, `npm run build:native`
 * makes it and its types in the project root, where the `imports` map of package.json finds them from the sources and
 * from `dist/`.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type addon from '#native'
import { FaithError } from './errors.js'

export type {
  NativeAdvertisedLink,
  NativeAdvertiser,
  NativeAnswer,
  NativeAccessDoubts,
  NativeBindOptions,
  NativeBoundUdp,
  NativeCertificate,
  NativeConnection,
  NativeDns64,
  NativeDns64Fault,
  NativeDns64Options,
  NativeFailure,
  NativeHostSockets,
  NativeInterface,
  NativeInterfaceOptions,
  NativeInterfaceStats,
  NativeLeg,
  NativeListener,
  NativeListenOptions,
  NativeLiveSession,
  NativeLocalService,
  NativeLog,
  NativeLogTarget,
  NativeMessage,
  NativePermission,
  NativePortRange,
  NativeQuery,
  NativeQuestion,
  NativeRefusal,
  NativeRefusalCount,
  NativeRelay,
  NativeRelayCallbacks,
  NativeRelayOptions,
  NativeRelayStats,
  NativeRule,
  NativeSession,
  NativeSessionDetail,
  NativeSessionStats,
  NativeShortage,
  NativeSource,
  NativeSupport,
  NativeSynthesis,
  NativeTcpInfo,
  NativeUdpOptions,
  NativeVerdict,
  NativeWarning,
} from '#native'

/** The platforms that have a package with the addon. */
const prebuilt = ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl']

export const native = load()

function load(): typeof addon {
  const require = createRequire(import.meta.url)
  const platform = platformName()
  // The addon of a checkout goes before an installed one.
  for (const place of [`#native/${platform}`, `faithd-${platform}`]) {
    try {
      return require(place) as typeof addon
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'MODULE_NOT_FOUND') throw unavailable(platform, message)
    }
  }
  throw unavailable(platform)
}

/** Names the platform of this process as the packages do. */
function platformName(): string {
  const { platform, arch } = process
  return platform === 'linux'
    ? `linux-${arch}-${hasGlibc() ? 'gnu' : 'musl'}`
    : `${platform}-${arch}`
}

/** Tells if this process is linked to glibc. The system may have musl too. */
function hasGlibc(): boolean {
  try {
    return /\/libc(\.so\.6|-2\.\d+\.so)$/m.test(readFileSync('/proc/self/maps', 'utf8'))
  } catch {
    // There is no /proc. Node's report knows the C library too, but takes longer.
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
    return header.glibcVersionRuntime !== undefined
  }
}

/** Makes the error for an addon that is absent, or that the system cannot load. */
function unavailable(platform: string, why?: string): FaithError {
  const reason =
    why?.split('\n')[0] ??
    (prebuilt.includes(platform)
      ? `its package faithd-${platform} is not installed`
      : `there are prebuilt ones for ${prebuilt.join(', ')}`)
  const missing = new FaithError(
    'ERR_FAITH_PLATFORM',
    `cannot load the native addon of faithd for ${platform}: ${reason}`,
    { hint: advice(platform, why) },
  )
  // Node prints this text for an uncaught error. The loader's stack would not help.
  missing.stack = `${missing.name}: ${missing.message}; ${missing.hint}`
  return missing
}

function advice(platform: string, why: string | undefined): string {
  if (!platform.startsWith('linux-')) return 'faithd runs on Linux only'
  const build =
    'build it in a checkout of faithd by `npm run build`, which needs Rust and a C compiler, ' +
    'and install the tarball that `npm pack` makes there'
  if (why !== undefined || !prebuilt.includes(platform)) return build
  return `install faithd again with its optional dependencies on this machine, or ${build}`
}
