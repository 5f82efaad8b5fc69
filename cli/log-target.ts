/** Chooses the place that the log goes to: stderr, a file, the journal of systemd, or syslog. */
import { existsSync, fstatSync } from 'node:fs'
import type { NativeLogTarget } from '../lib/native.js'
import type { Configuration, LogConfiguration } from './configuration.js'
import { FACILITY_NUMBERS, isPath } from './log-place.js'

const STDERR = 2
/** The socket of journald. */
const JOURNAL = '/run/systemd/journal/socket'

/** Gives the place of a configuration. Without a choice it is the journal where stderr leads there, and else stderr. */
export function nativeTarget({ log, user }: Pick<Configuration, 'log' | 'user'>): NativeLogTarget {
  const to = log.to ?? (stderrIsJournal() ? 'journal' : 'stderr')
  if (to === 'stderr' || to === 'journal') return { kind: to }
  if (isPath(to)) return { kind: 'file', path: to, ...(user === undefined ? {} : { owner: user }) }
  return { kind: 'syslog', ...syslogPlace(to), ...syslogFacts(log) }
}

function syslogPlace(to: string): Pick<NativeLogTarget, 'path' | 'address'> {
  const address = to.slice('syslog:'.length)
  if (address === '') return {}
  return isPath(address) ? { path: address } : { address }
}

function syslogFacts({ facility, enterprise }: LogConfiguration) {
  return {
    facility: FACILITY_NUMBERS[facility],
    ...(enterprise === undefined ? {} : { enterprise }),
  }
}

/** Tells if stderr leads to the journal: systemd names its device and inode (systemd.exec(5), `$JOURNAL_STREAM`). */
function stderrIsJournal(): boolean {
  const stream = process.env['JOURNAL_STREAM']
  if (stream === undefined || !existsSync(JOURNAL)) return false
  try {
    const { dev, ino } = fstatSync(STDERR, { bigint: true })
    return stream === `${dev}:${ino}`
  } catch {
    return false
  }
}
