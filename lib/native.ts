/**
 * The one door between TypeScript and the Rust addon.
 *
 * `native.cjs` and its types are generated into the project root by `npm run build:native`, and the `imports` map
 * of package.json finds them there from the sources and from `dist/` alike. Nothing else may import `#native`:
 * what passes through here is loosely typed (strings for unions, failures as values) and must not reach the
 * public surface unread.
 */
import native from '#native'

export type {
  NativeConnection,
  NativeEnds,
  NativeFailure,
  NativeInterface,
  NativeInterfaceOptions,
  NativeInterfaceStats,
  NativeLeg,
  NativeLineWriter,
  NativeListener,
  NativeLiveSession,
  NativePortRange,
  NativeQuestion,
  NativeRelay,
  NativeRelayOptions,
  NativeRelayStats,
  NativeSession,
  NativeStop,
  NativeVerdict,
  NativeWarning,
} from '#native'

export { native }
