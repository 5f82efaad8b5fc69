import { anyText, flag, ipv6Prefix, list, oneOf, wholeNumber } from '../kinds.js'
import { type Settings, under } from './setting.js'

const WELL_KNOWN_PREFIX = '64:ff9b::/96'

const captured = under('Capture')

/** Settings of an interface. */
export const INTERFACE = {
  name: captured(anyText('a name', 'faith0'), 'faith0', 'name of the faith interface', {
    long: 'interface',
    short: 'i',
    value: 'NAME',
    change: 'at the next start',
  }),
  prefixes: captured(list(ipv6Prefix), [WELL_KNOWN_PREFIX], 'IPv6 prefixes to capture', {
    long: 'prefix',
    short: 'P',
    value: 'PREFIX',
    help: 'IPv6 prefix to capture; may be repeated',
    change: 'at once',
  }),
  routes: captured(flag, true, 'route the prefixes to the interface', {
    help: 'do not route the prefixes to the interface',
    change: 'at the next start',
  }),
  mtu: captured(
    wholeNumber(1280, 65_535),
    65_535,
    'MTU of the interface; the MSS is at least 60 less',
    { value: 'BYTES', change: 'at the next start' },
  ),
  shortcut: captured(flag, true, 'keep the packets of established connections in the kernel', {
    help: 'turn the BPF shortcut off: the pump passes every packet',
    change: 'at the next start',
  }),
  unsupported: captured(
    oneOf(['unreachable', 'drop']),
    'unreachable',
    'reply to protocols not relayed: ICMPv6 error, or none',
    {
      value: 'unreachable|drop',
      help: 'reply to other protocols: ICMPv6 error, or none',
      change: 'at the next start',
    },
  ),
} satisfies Settings
