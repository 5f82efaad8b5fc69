import { startFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'

export default {
  name: 'faithd',
  title: 'faithd',
  kind: 'faithd',
  about: 'this checkout as it is built, connect-first as by default',
  start: (bed) => startFaithd(bed),
} satisfies Subject
