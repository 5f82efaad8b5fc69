import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import type { NativeInterface } from './native.js'
import { show } from './option-reader.js'

/**
 * A change of the prefixes of an interface.
 *
 * @group Interface
 */
export interface FaithPrefixChange {
  /** The operation. */
  action: 'add' | 'delete'
  /** The prefix in RFC 5952 form: `64:ff9b::/96`. */
  prefix: string
}

/**
 * The prefixes of a faith interface. They can change while connections are captured.
 *
 * @example
 * ```ts
 * await faith.prefixes.add('2001:db8:64::/96')
 * console.log([...faith.prefixes])
 * ```
 *
 * @group Interface
 */
export class FaithPrefixes implements Iterable<string> {
  readonly #native: NativeInterface
  readonly #requireOpen: () => void
  readonly #changed: (change: FaithPrefixChange) => void

  /** @internal Gives the prefixes of one interface. */
  static of(
    native: NativeInterface,
    requireOpen: () => void,
    changed: (change: FaithPrefixChange) => void,
  ): FaithPrefixes {
    return new FaithPrefixes(native, requireOpen, changed)
  }

  private constructor(
    native: NativeInterface,
    requireOpen: () => void,
    changed: (change: FaithPrefixChange) => void,
  ) {
    this.#native = native
    this.#requireOpen = requireOpen
    this.#changed = changed
  }

  /**
   * Captures `prefix` too. If the interface has `routes`, adds a route for the prefix.
   *
   * @throws {@link FaithError} `ERR_FAITH_PREFIX` when it is malformed, has host bits, an illegal length, or overlaps
   * another; `EEXIST` when it is routed elsewhere already; `ERR_FAITH_CLOSED`
   *
   * @example
   * ```ts
   * await faith.prefixes.add('2001:db8:64::/96')
   * ```
   */
  async add(prefix: string): Promise<void> {
    this.#requireOpen()
    const text = readPrefix(prefix)
    if (this.#native.prefixes().includes(text)) {
      throw new FaithError('ERR_FAITH_PREFIX', `${text} is there already`)
    }
    const added = unwrap(await this.#native.addPrefix(text))
    this.#changed({ action: 'add', prefix: added })
  }

  /**
   * Stops capturing `prefix`. Its connections stall.
   *
   * @throws {@link FaithError} `ENOENT` when the interface does not have it; `ERR_FAITH_PREFIX`; `ERR_FAITH_CLOSED`
   *
   * @example
   * ```ts
   * await faith.prefixes.delete('64:ff9b::/96')
   * ```
   */
  async delete(prefix: string): Promise<void> {
    this.#requireOpen()
    const deleted = unwrap(await this.#native.removePrefix(readPrefix(prefix)))
    this.#changed({ action: 'delete', prefix: deleted })
  }

  /**
   * Iterates over the current prefixes, in RFC 5952 form: `64:ff9b::/96`.
   *
   * @example
   * ```ts
   * for (const prefix of faith.prefixes) console.log(embed('192.0.2.33', prefix))
   * ```
   */
  [Symbol.iterator](): Iterator<string> {
    return this.#native.prefixes().values()
  }
}

function readPrefix(prefix: unknown): string {
  if (typeof prefix === 'string') return prefix
  throw new FaithError('ERR_FAITH_PREFIX', `a prefix must be a string, got ${show(prefix)}`)
}
