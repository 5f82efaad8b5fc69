import { captured } from '../../lab/index.js'
import { relayedPorts, serverAddresses } from '../bed.js'
import type { Bed } from '../bed.js'
import type { Subject } from '../subject.js'

export default {
  name: 'socat',
  title: 'socat',
  kind: 'peer',
  about: 'on a local route, a process per connection',
  needs: [{ program: 'socat', package: 'socat' }],
  // Each is a process, of which a container often may have few.
  sessionsAtMost: 1000,
  async start(bed: Bed) {
    await bed.localRoute()
    for (const address of serverAddresses) {
      for (const port of relayedPorts) {
        const listen = `TCP6-LISTEN:${port},bind=[${captured(address)}],fork,reuseaddr,backlog=4096,nodelay`
        // 64 KiB at a time instead of 8: socat at its best.
        bed.relay('socat', ['-b', '65536', listen, `TCP4:${address}:${port},nodelay`])
      }
    }
  },
} satisfies Subject
