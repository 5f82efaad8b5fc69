import { anyText, ipv4Address, type Kind, list, ports, wholeNumber } from '../kinds.js'
import { type Settings, under } from './setting.js'

const served = under('Local services')

/** Settings of a local service: a program that serves connections to this host's own addresses, as by inetd(8). */
export const LOCAL = {
  port: served(
    ports as Kind<string | undefined>,
    undefined,
    'ports of the service, as the service argument names them; required',
    { options: [] },
  ),
  address: served(
    ipv4Address as Kind<string | undefined>,
    undefined,
    'IPv4 address of the service; without, every address of this host but loopback ones',
    { options: [] },
  ),
  command: served(
    list(anyText('a program, by its whole path, or an argument', '/usr/sbin/sshd')),
    [],
    'program that gets the connection as standard input, output and error; required',
    { options: [] },
  ),
  argv0: served(
    anyText('a name', 'telnetd') as Kind<string | undefined>,
    undefined,
    'name that the program gets as its own, argv[0]; without, its path',
    { options: [] },
  ),
  user: served(
    anyText('the name of a user', 'nobody') as Kind<string | undefined>,
    undefined,
    'user that the program runs as; without, the user of faithd',
    { options: [] },
  ),
  group: served(
    anyText('a group', 'nogroup') as Kind<string | undefined>,
    undefined,
    "group that the program runs as; without, the user's own",
    { options: [] },
  ),
  'max-processes': served(wholeNumber(), 40, 'maximum processes at once; 0: no limit', {
    options: [],
  }),
  'max-processes-per-client': served(
    wholeNumber(),
    10,
    'maximum processes of one client at once; 0: no limit',
    { options: [] },
  ),
  'max-rate-per-client': served(
    wholeNumber(),
    0,
    'maximum new processes of one client per minute; 0: no limit',
    { options: [] },
  ),
} satisfies Settings
