/** Changes of an open relay: its access list, and settings that it may change. */
import { type AccessList, accessListText, LIST } from './access-list.js'
import { closedError } from './errors.js'
import { unwrap } from './failure.js'
import type { NativeRelay } from './native.js'
import { type OptionNames, OptionReader } from './option-reader.js'
import {
  type FaithRelayOptions,
  type FaithRelayUpdate,
  readRelayOptions,
  updatedOptions,
} from './relay-options.js'

/**
 * Options of {@link FaithRelay.setAccessList}.
 *
 * @group Relay and route
 */
export interface FaithSetAccessListOptions {
  /** As {@link FaithRelaySettings.allowLoopback}. Default: unchanged. */
  allowLoopback?: boolean
  /**
   * `true` ends the sessions that the new list does not permit, as `aborted`. Sessions to servers that `route` named go
   * on; sessions for which `route` let the relay proceed are judged. Default `false`: all sessions go on.
   */
  endDenied?: boolean
}

const LIST_OPTIONS: OptionNames<FaithSetAccessListOptions> = {
  allowLoopback: true,
  endDenied: true,
}

/** @internal The checked arguments of `relay.setAccessList`. */
export interface AccessListChange {
  text: string
  /** `undefined` leaves it as it is. */
  allowLoopback: boolean | undefined
  endDenied: boolean
}

/** @internal */
export function readAccessListChange(
  list: AccessList,
  options: FaithSetAccessListOptions,
): AccessListChange {
  const call = 'relay.setAccessList'
  const text = accessListText(call, list)
  const read = new OptionReader(call, LIST_OPTIONS, options)
  const same = read.unchecked('allowLoopback') === undefined
  const allowLoopback = same ? undefined : read.boolean('allowLoopback', false)
  return { text, allowLoopback, endDenied: read.boolean('endDenied', false) }
}

/**
 * @internal Changes one relay. The addon parses lists and opens sources on other threads, so changes run one after the
 * other: the last call must win.
 */
export class RelayChanges {
  readonly #native: Pick<NativeRelay, 'setAccessList' | 'update'>
  readonly #isClosing: () => boolean
  #given: FaithRelayOptions
  #allowLoopback: boolean
  #last: Promise<unknown> = Promise.resolve()

  constructor(
    native: Pick<NativeRelay, 'setAccessList' | 'update'>,
    isClosing: () => boolean,
    given: FaithRelayOptions,
    allowLoopback: boolean,
  ) {
    this.#native = native
    this.#isClosing = isClosing
    this.#given = given
    this.#allowLoopback = allowLoopback
  }

  /** The options of the relay, with every update until now. */
  get given(): FaithRelayOptions {
    return this.#given
  }

  async setAccessList(change: AccessListChange): Promise<void> {
    await this.#inTurn(async () => {
      const { text, allowLoopback = this.#allowLoopback, endDenied } = change
      unwrap(await this.#native.setAccessList(text, LIST, allowLoopback, endDenied))
      this.#allowLoopback = allowLoopback
    })
  }

  async update(settings: FaithRelayUpdate): Promise<void> {
    await this.#inTurn(async () => {
      const updated = updatedOptions(this.#given, settings)
      unwrap(await this.#native.update(readRelayOptions(updated).settings))
      this.#given = updated
    })
  }

  /** Runs a change after those before it. Each starts from the result of the one before. */
  async #inTurn(change: () => Promise<void>): Promise<void> {
    const changing = this.#last.then(async () => {
      if (this.#isClosing()) throw closedError('the relay', 'open another one')
      return await change()
    })
    this.#last = changing.catch(() => undefined)
    await changing
  }
}
