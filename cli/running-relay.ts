/** A relay of a running faithd, beside the configuration that it runs by. */
import type { FaithRelay } from '../index.js'
import type { LoadedAccessList } from './access-list.js'
import type { RelayConfiguration } from './configuration.js'

/** A relay that runs. */
export interface RunningRelay {
  /** Counts up as faithd opens relays. With the id of a session it names one session of faithd. */
  number: number
  configuration: RelayConfiguration
  accessList: LoadedAccessList | undefined
  relay: FaithRelay
}
