import { interfaceName, list, wholeNumber } from '../kinds.js'
import { LONGEST_LIFETIME, USUAL_LIFETIME } from '../pref64/prefix.js'
import { type Settings, under } from './setting.js'

const advertised = under('Advertisements')

/** Settings of router advertisements, which tell hosts the prefixes (PREF64, RFC 8781). */
export const PREF64 = {
  advertise: advertised(
    list(interfaceName),
    [],
    'interfaces on which faithd advertises the prefixes to hosts with a CLAT',
    {
      value: 'IFACE',
      help: 'advertise the prefixes on this interface; may be repeated',
      change: 'at once',
    },
  ),
  lifetime: advertised(
    wholeNumber(8, LONGEST_LIFETIME),
    USUAL_LIFETIME,
    'time in seconds for which hosts use a prefix after an advertisement',
    {
      long: 'advertise-lifetime',
      value: 'SECONDS',
      help: 'hosts use a prefix for so long after an advertisement',
      change: 'at once',
    },
  ),
  interval: advertised(
    wholeNumber(4, 1800),
    600,
    'longest time in seconds between two advertisements; the shortest is a third of it',
    {
      long: 'advertise-interval',
      value: 'SECONDS',
      help: 'longest time between two advertisements',
      change: 'at once',
    },
  ),
} satisfies Settings
