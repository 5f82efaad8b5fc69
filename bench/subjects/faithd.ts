import { startFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'

export default {
  name: 'faithd',
  title: 'faithd',
  kind: 'faithd',
  about: 'the build of this checkout, connect-first as by default',
  start: (bed) => startFaithd(bed),
} satisfies Subject
