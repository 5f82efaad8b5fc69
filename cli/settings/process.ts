import { anyText, flag, type Kind, listenAddress } from '../kinds.js'
import { type Settings, under } from './setting.js'

/** The control socket where the configuration names none. */
export const CONTROL_SOCKET = '/run/faithd/faithd.sock'

const captured = under('Capture')
const running = under('Process')
const observed = under('Metrics')
const steered = under('Control')

/** Settings of the process. */
export const PROCESS = {
  keepfaith: captured(flag, false, 'set keepfaith to 1, which turns capturing on; required', {
    short: 'k',
    change: 'at once',
  }),
  metrics: observed(
    listenAddress as Kind<string | undefined>,
    undefined,
    'serve metrics for Prometheus on this address',
    { value: '[HOST:]PORT', change: 'at the next start' },
  ),
  control: steered(
    anyText('the path of a Unix socket', CONTROL_SOCKET) as Kind<string | undefined>,
    undefined,
    'Unix socket by which faithd is asked and steered; empty: none',
    {
      change: 'at the next start',
      options: [
        {
          value: 'PATH',
          help: 'Unix socket of the control interface',
          fallback: CONTROL_SOCKET,
          read: (given) => given,
        },
        { long: 'no-control', help: 'make no control socket', read: () => '' },
      ],
    },
  ),
  'control-group': steered(
    anyText('a group', 'faithd') as Kind<string | undefined>,
    undefined,
    'group that may use the control socket; without, only its owner',
    { value: 'GROUP', help: 'group that may use the control socket', change: 'at the next start' },
  ),
  user: running(
    anyText('the name of a user', 'faithd') as Kind<string | undefined>,
    undefined,
    'user to become, without capabilities, once faithd captures',
    {
      value: 'NAME',
      help: 'user to become, unprivileged, once it captures; empty: none',
      change: 'at the next start',
      // An option that turns off what the file says.
      read: (given) => (given === '' ? undefined : given),
    },
  ),
} satisfies Settings
