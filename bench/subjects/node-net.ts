import { startNode } from '../node.js'
import type { Subject } from '../subject.js'

export default {
  name: 'node-net',
  title: 'net.Server, local route',
  kind: 'node',
  about: 'the same echo over a plain net.Server',
  async start(bed) {
    await bed.localRoute()
    startNode(bed, 'echo-net.ts')
  },
} satisfies Subject
