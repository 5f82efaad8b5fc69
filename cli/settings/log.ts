import { flag, type Kind, oneOf, peerAddress, seconds, wholeNumber } from '../kinds.js'
import { FACILITIES, logPlace } from '../log-place.js'
import { type Settings, under } from './setting.js'

export const LOG_FORMATS = ['text', 'json'] as const
const LOG_RECORDS = ['sessions', 'blocks'] as const
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const

const log = under('Log')
const recorded = under('Records')

/** Settings of the log. */
export const LOG = {
  to: log(
    logPlace as Kind<string | undefined>,
    undefined,
    'place of the log; without, the journal where stderr leads there, else stderr',
    {
      long: 'log-to',
      value: 'PLACE',
      help: 'stderr, journal, syslog[:ADDRESS[:PORT]], syslog:PATH or FILE',
      change: 'at the next start',
    },
  ),
  facility: log(oneOf(FACILITIES), 'daemon', 'facility of messages to syslog', {
    long: 'log-facility',
    value: 'NAME',
    change: 'at the next start',
  }),
  enterprise: log(
    wholeNumber(1) as Kind<number | undefined>,
    undefined,
    'your private enterprise number, under which syslog gets facts',
    { long: 'log-enterprise', value: 'NUMBER', change: 'at the next start' },
  ),
  format: log(oneOf(LOG_FORMATS), 'text', 'format of lines', {
    long: 'log-format',
    value: LOG_FORMATS.join('|'),
    change: 'at once',
  }),
  level: log(oneOf(LOG_LEVELS), 'info', 'least important lines that are written', {
    change: 'at once',
    options: [
      {
        long: 'debug',
        short: 'd',
        help: 'same as --log-level debug',
        read: () => 'debug',
      },
      {
        long: 'log-level',
        value: 'LEVEL',
        help: LOG_LEVELS.join(', '),
        fallback: 'info',
        read: oneOf(LOG_LEVELS).read,
      },
    ],
  }),
  begin: log(flag, false, 'record when a session begins, too', {
    long: 'log-begin',
    change: 'at once',
  }),
  records: log(oneOf(LOG_RECORDS), 'sessions', 'record each session, or blocks of ports alone', {
    long: 'log-records',
    value: LOG_RECORDS.join('|'),
    change: 'at once',
  }),
  destinations: log(flag, true, 'record the dialled address and the server', {
    long: 'log-destinations',
    help: 'record neither the dialled address nor the server',
    change: 'at once',
  }),
  sources: log(flag, false, 'write the IPv4 address and port that a session came from', {
    long: 'log-sources',
    change: 'at once',
  }),
  ipfix: recorded(
    peerAddress as Kind<string | undefined>,
    undefined,
    'send records of sessions to this IPFIX collector, by UDP',
    { value: 'HOST:PORT', change: 'at once' },
  ),
  'ipfix-domain': recorded(wholeNumber(), 1, 'observation domain of these records', {
    value: 'N',
    change: 'at once',
  }),
  'ipfix-templates': recorded(
    seconds('positive'),
    600,
    'send the templates again after this time',
    { value: 'SECONDS', change: 'at once' },
  ),
} satisfies Settings
