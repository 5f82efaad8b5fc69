import { startNode } from '../node.js'
import type { Subject } from '../subject.js'

const lengths = [1, 1000, 10_000, 100_000]

export default lengths.map((length): Subject => ({
  name: `rules-${length}`,
  title: `faithd, ${length} ${length === 1 ? 'rule' : 'rules'}`,
  kind: 'rules',
  about: `the library's relay with an access list of that length, of which the last rule matches`,
  start: (bed) => startNode(bed, 'relay.ts', [length]),
}))
