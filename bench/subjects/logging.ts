import { join } from 'node:path'

import type { Bed } from '../bed.js'
import { startFaithd, startLoggingFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'
import haproxy, { startHaproxy } from './haproxy.js'
import nginx, { startNginx } from './nginx.js'

/** Each log is a file, which needs no reader that would take CPU time. */
const file = (bed: Bed) => join(bed.lab.directory, 'sessions.log')

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
