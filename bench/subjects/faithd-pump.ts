import { startFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'

export default {
  name: 'faithd-pump',
  title: 'faithd, without shortcut',
  kind: 'faithd',
  about: 'the same with --no-shortcut: every packet goes through user space',
  start: (bed) => startFaithd(bed, ['--no-shortcut']),
} satisfies Subject
