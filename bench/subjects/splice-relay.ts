import { relayedPorts } from '../bed.js'
import type { Bed } from '../bed.js'
import type { Subject } from '../subject.js'

export default {
  name: 'splice-relay',
  title: 'bare splice relay',
  kind: 'limit',
  about: 'C, a local route, splice and nothing else: how far a relay of kernel sockets can get',
  async start(bed: Bed) {
    await bed.localRoute()
    const threads = String(bed.machine.cores)
    bed.relay(bed.programs.spliceRelay, ['--ports', relayedPorts.join(','), '--threads', threads])
  },
} satisfies Subject
