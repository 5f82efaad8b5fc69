/** Advertises the prefixes to hosts, as the table `[pref64]` asks for it, and logs how that goes. */
import { unwrap } from '../lib/failure.js'
import { native, type NativeAdvertisedLink, type NativeAdvertiser } from '../lib/native.js'
import type { Pref64Configuration } from './configuration.js'
import type { Logger } from './log.js'

/** A link: its state, and what was sent on it. */
export type AdvertisedLink = NativeAdvertisedLink

/** The sender of advertisements. It exists from the first time that the configuration names an interface. */
export class Advertising {
  readonly #log: Logger
  #native: NativeAdvertiser | undefined
  #settings: Pref64Configuration = { advertise: [], lifetime: 0, interval: 0 }
  #prefixes: readonly string[] = []

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Advertises on the interfaces of a configuration.
   *
   * @throws FaithError `EPERM` if it is the first that names one, and the process may not open the socket
   */
  configure(settings: Pref64Configuration): void {
    if (settings.advertise.length > 0) {
      this.#native ??= unwrap(native.openAdvertiser((links) => this.#tell(links)))
    }
    this.#settings = settings
    this.#apply()
  }

  /** Advertises these prefixes, and withdraws all others. */
  advertise(prefixes: readonly string[]): void {
    this.#prefixes = prefixes
    this.#apply()
  }

  /** The interfaces of the configuration, as they are now. */
  get links(): AdvertisedLink[] {
    return this.#native?.links() ?? []
  }

  /** A sentence for each interface on which the prefixes are not advertised. */
  get problems(): string[] {
    return this.links.filter(({ state }) => state !== 'advertising').map(sentenceOf)
  }

  /** Withdraws the prefixes, and ends. */
  close(): void {
    this.#native?.close()
  }

  #apply(): void {
    const { advertise, lifetime, interval } = this.#settings
    this.#native?.set({
      links: [...new Set(advertise)],
      prefixes: [...this.#prefixes],
      lifetime,
      most: interval,
    })
  }

  #tell(links: readonly AdvertisedLink[]): void {
    for (const link of links) {
      const { name, state, source } = link
      const facts = { advertised: { interface: name, state, ...(source && { source }) } }
      const sentence = sentenceOf(link)
      if (link.state === 'advertising') this.#log.info(facts, sentence)
      else if (link.state === 'conflict') this.#log.error(facts, sentence)
      else this.#log.warn(facts, sentence)
    }
  }
}

/** Tells the state of a link. */
function sentenceOf({ name, state, reason, source }: AdvertisedLink): string {
  switch (state) {
    case 'advertising':
      return `${name}: advertises the prefixes (PREF64) from ${source}`
    case 'failing':
      return `${name}: cannot advertise the prefixes: ${reason}; faithd goes on trying`
    case 'conflict':
      return (
        `${name}: another host sends advertisements from ${source}, the address of faithd's own, so faithd sends none ` +
        'there; give the interface another link-local address'
      )
    default:
      return (
        `${name}: the prefixes are not advertised, because the interface is missing or down, or has no link-local ` +
        'address; faithd begins when that has changed'
      )
  }
}
