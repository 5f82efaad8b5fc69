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
  // Each session is a process, and a container often allows few.
  sessionsAtMost: 1000,
  async start(bed: Bed) {
    await bed.localRoute()
    for (const address of serverAddresses) {
      for (const port of relayedPorts) {
        const listen = `TCP6-LISTEN:${port},bind=[${captured(address)}],fork,reuseaddr,backlog=4096,nodelay`
        // Reads 64 KiB at a time instead of 8: the best case for socat.
        bed.relay('socat', ['-b', '65536', listen, `TCP4:${address}:${port},nodelay`])
      }
    }
  },
} satisfies Subject
