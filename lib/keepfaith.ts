import { publish } from './diagnostics.js'
import { FaithError } from './errors.js'
import { native } from './native.js'
import { show } from './option-reader.js'

const callbacks = new Set<(on: boolean) => void>()

/** @internal Calls `tell` whenever this thread switches keepfaith. The returned function cancels that. */
export function onKeepfaith(tell: (on: boolean) => void): () => void {
  callbacks.add(tell)
  return () => void callbacks.delete(tell)
}

/**
 * Switches capturing on or off for all faith interfaces of this process.
 *
 * Capturing is off at first, and {@link FaithInterface.listen} and {@link FaithInterface.relay} refuse to start while
 * it is off: a router should capture other people's connections only on purpose. After it is switched off again, the
 * interfaces capture no new connections, and captured connections stall until it is on.
 *
 * Source: the sysctl `net.inet6.ip6.keepfaith` of faith(4).
 *
 * @param on - `true` lets faith interfaces capture
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `on` is not a boolean
 *
 * @example
 * ```ts
 * setKeepfaith(true)
 * ```
 *
 * @group Interface
 */
export function setKeepfaith(on: boolean): void {
  if (typeof on !== 'boolean') {
    throw new FaithError(
      'ERR_FAITH_ARGUMENT',
      `setKeepfaith: \`on\` must be true or false, got ${show(on)}`,
    )
  }
  if (native.getKeepfaith() === on) return
  native.setKeepfaith(on)
  for (const tell of callbacks) tell(on)
  publish('faithd:keepfaith', () => ({ on }))
}

/**
 * Tells if the faith interfaces of this process capture. Gives `false` until `setKeepfaith(true)` is called.
 *
 * @example
 * ```ts
 * if (!getKeepfaith()) console.warn('nothing is captured')
 * ```
 *
 * @group Interface
 */
export function getKeepfaith(): boolean {
  return native.getKeepfaith()
}

/** @internal Throws while keepfaith is off. */
export function requireKeepfaith(call: string): void {
  if (native.getKeepfaith()) return
  throw new FaithError('ERR_FAITH_KEEPFAITH', `${call}: keepfaith is off, nothing is captured`, {
    hint: 'call setKeepfaith(true) first',
  })
}
