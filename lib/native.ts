/**
 * The one door between TypeScript and the Rust addon.
 *
 * `native.cjs` and its types are generated into the project root by `npm run build:native`, and the `imports` map
 * of package.json finds them there from the sources and from `dist/` alike. Nothing else may import `#native`:
 * what passes through here is loosely typed (strings for unions, failures as values) and must not reach the
 * public surface unread.
 *
 * It is loaded by `require`, so that an addon that is missing gives a short error of this package.
 */
import { createRequire } from 'node:module'
import type addon from '#native'
import { FaithError } from './errors.js'

export type {
  NativeConnection,
  NativeFailure,
  NativeInterface,
  NativeInterfaceOptions,
  NativeInterfaceStats,
  NativeLeg,
  NativeLineWriter,
  NativeListener,
  NativeLiveSession,
  NativePermission,
  NativePortRange,
  NativeQuestion,
  NativeRefusal,
  NativeRefusalCount,
  NativeRelay,
  NativeRelayOptions,
  NativeRelayStats,
  NativeSession,
  NativeSessionStats,
  NativeShortage,
  NativeSupport,
  NativeVerdict,
  NativeWarning,
} from '#native'

export const native = load()

function load(): typeof addon {
  try {
    return createRequire(import.meta.url)('#native') as typeof addon
  } catch (error) {
    throw unavailable(error)
  }
}

/** The error of an addon that cannot be loaded. */
function unavailable(error: unknown): FaithError {
  const { platform, arch } = process
  // The loader tries several files, and chains what became of each.
  const errors: NodeJS.ErrnoException[] = []
  for (let cause = error; cause instanceof Error && !errors.includes(cause); cause = cause.cause) {
    errors.push(cause)
  }
  const broken = errors.find(({ code }) => code === 'ERR_DLOPEN_FAILED')
  const [why] = broken?.message.split('\n') ?? []
  const message = `cannot load the native addon of faithd for ${platform}-${arch}`
  const missing = new FaithError(
    'ERR_FAITH_PLATFORM',
    `${message}: ${why ?? 'it is not installed'}`,
    {
      hint:
        platform === 'linux'
          ? 'install faithd again with its optional dependencies, or build it in a clone by `npm run build`'
          : 'faithd runs on Linux only',
    },
  )
  // Node prints this where nothing catches the error: the loader's stack would not help.
  missing.stack = `${missing.name}: ${missing.message}; ${missing.hint}`
  return missing
}
