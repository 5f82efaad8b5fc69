import { startNode } from '../node.js'
import type { Subject } from '../subject.js'

export default {
  name: 'node-faith',
  title: 'faith.listen()',
  kind: 'node',
  about: 'an echo in JavaScript over a faith listener',
  start: (bed) => startNode(bed, 'echo-faith.ts'),
} satisfies Subject
