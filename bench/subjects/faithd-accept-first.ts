import { startFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'

export default {
  name: 'faithd-accept-first',
  title: 'faithd, accept first',
  kind: 'faithd',
  about:
    'with --no-connect-first: the client is answered before the server is connected, as the peers do',
  start: (bed) => startFaithd(bed, ['--no-connect-first']),
} satisfies Subject
