import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { addresses, waitFor } from '../../lab/index.js'
import type { Bed } from '../bed.js'
import { startFaithd, startFaithdLoggingTo, startLoggingFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'
import haproxy, { startHaproxy } from './haproxy.js'
import nginx, { startNginx } from './nginx.js'

/** Most logs are a file, which needs no reader that would take CPU time. */
const file = (bed: Bed) => join(bed.lab.directory, 'sessions.log')

const socat = [{ program: 'socat', package: 'socat' }]

/** Receives datagrams on a Unix socket of the router and drops them. The reader's CPU time is not the relay's. */
async function unixSocket({ lab }: Bed, path: string): Promise<string> {
  lab.router.spawn('socat', ['-u', '-b', '65536', `UNIX-RECV:${path}`, 'OPEN:/dev/null'])
  await waitFor('the socket of the log', () => existsSync(path))
  return path
}

/** Writes to a socket at the place of journald's, in a mount namespace of its own. */
async function startJournal(bed: Bed): Promise<void> {
  const folder = join(bed.lab.directory, 'journal')
  mkdirSync(folder)
  await unixSocket(bed, join(folder, 'socket'))
  const script =
    'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && ' +
    'mount --bind "$0" /run/systemd/journal && exec "$@"'
  const wrap = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, folder]
  startFaithdLoggingTo(bed, ['--no-control', '--log-to', 'journal'], wrap)
}

async function startSyslog(bed: Bed): Promise<void> {
  const path = await unixSocket(bed, join(bed.lab.directory, 'syslog'))
  startFaithdLoggingTo(bed, ['--log-to', `syslog:${path}`, '--log-enterprise', '32473'])
}

/** Sends records to a collector on the server, and writes no lines. */
async function startIpfix(bed: Bed): Promise<void> {
  const { server } = bed.lab
  server.spawn('socat', ['-u', '-b', '65536', 'UDP4-RECV:4739', 'OPEN:/dev/null'])
  await waitFor('the collector', async () => {
    const { stdout } = await server.run('ss', ['-Hlun', 'sport = :4739'])
    return stdout !== ''
  })
  startFaithdLoggingTo(bed, ['--log-level', 'warn', '--ipfix', `${addresses.server}:4739`])
}

const subject = (
  name: string,
  title: string,
  start: Subject['start'],
  needs: Subject['needs'] = [],
): Subject => ({
  name,
  title,
  kind: 'logging',
  about: `${title}, for the work item logging`,
  needs,
  start,
})

export default [
  subject('faithd-log-none', 'faithd, no lines', (bed) => startFaithd(bed)),
  subject('faithd-log-text', 'faithd, text', (bed) => startLoggingFaithd(bed, 'text', file(bed))),
  subject('faithd-log-json', 'faithd, JSON', (bed) => startLoggingFaithd(bed, 'json', file(bed))),
  subject('faithd-log-journal', 'faithd, journal', startJournal, socat),
  subject('faithd-log-syslog', 'faithd, syslog', startSyslog, socat),
  subject('faithd-log-ipfix', 'faithd, IPFIX', startIpfix, socat),
  subject('haproxy-log-none', 'HAProxy, no lines', (bed) => startHaproxy(bed), haproxy.needs),
  subject('haproxy-log', 'HAProxy, tcplog', (bed) => startHaproxy(bed, file(bed)), haproxy.needs),
  subject('nginx-log-none', 'nginx stream, no lines', (bed) => startNginx(bed), nginx.needs),
  subject(
    'nginx-log',
    'nginx stream, access_log',
    (bed) => startNginx(bed, file(bed)),
    nginx.needs,
  ),
]
