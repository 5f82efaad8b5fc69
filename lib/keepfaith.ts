import { publish } from './diagnostics.js'
import { FaithError } from './errors.js'
import { native } from './native.js'
import { show } from './option-reader.js'

const told = new Set<(on: boolean) => void>()

/** @internal Has `tell` called whenever keepfaith is switched by this thread, until what is returned is called. */
export function onKeepfaith(tell: (on: boolean) => void): () => void {
  told.add(tell)
  return () => void told.delete(tell)
}

/**
 * Switches capturing on or off for every faith interface of this process, at once.
 *
 * It is off until set, and {@link FaithInterface.listen} and {@link FaithInterface.relay} refuse to start while it
 * is: a router that captures other people's connections should do so because somebody said so. Switched off again,
 * nothing new is captured and connections already captured stall until it is on.
 *
 * Source: the sysctl `net.inet6.ip6.keepfaith` of faith(4).
 *
 * @param on - whether faith interfaces capture
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
  for (const tell of told) tell(on)
  publish('faithd:keepfaith', () => ({ on }))
}

/**
 * Whether faith interfaces of this process capture; `false` until {@link setKeepfaith} says otherwise.
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

/** @internal Refuses `call` while nothing would be captured. */
export function requireKeepfaith(call: string): void {
  if (native.getKeepfaith()) return
  throw new FaithError('ERR_FAITH_KEEPFAITH', `${call}: keepfaith is off, nothing is captured`, {
    hint: 'call setKeepfaith(true) first',
  })
}
