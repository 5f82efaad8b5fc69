import { faithPrefix } from '../../lab/index.js'
import { relayedPorts } from '../bed.js'
import type { Bed } from '../bed.js'
import type { Subject } from '../subject.js'

function start(bed: Bed, ...more: string[]): void {
  const threads = String(bed.machine.cores)
  const args = ['--ports', relayedPorts.join(','), '--threads', threads, ...more]
  bed.relay(bed.programs.spliceRelay, args)
}

/** Connects a process's network namespace to the router, which forwards the prefix to it. */
function behindAPair(pid: number): string {
  const inside = `nsenter --net=/proc/${pid}/ns/net`
  return `
    ip link add to-relay type veth peer name to-router netns ${pid}
    ip addr add fd00::1/64 dev to-relay nodad
    ip link set to-relay up
    ${inside} ip link set lo up
    ${inside} ip addr add fd00::2/64 dev to-router nodad
    ${inside} ip link set to-router up
    ${inside} ip -6 route add default via fd00::1
    ${inside} ip -6 route add local ${faithPrefix} dev lo
    ip -6 route add ${faithPrefix} via fd00::2
    control=$(cat /proc/sys/net/ipv4/tcp_congestion_control)
    ${inside} sh -c "echo $control >/proc/sys/net/ipv4/tcp_congestion_control"`
}

export default [
  {
    name: 'splice-relay',
    title: 'bare splice relay',
    kind: 'limit',
    about:
      'C, a local route, splice and nothing else: the best that a relay of kernel sockets can reach',
    async start(bed: Bed) {
      await bed.localRoute()
      start(bed)
    },
  },
  {
    name: 'splice-relay-forwarded',
    title: 'bare relay, forwarded to',
    kind: 'limit',
    about: 'the same, with clients in a namespace that the router forwards to, as with faithd',
    async start(bed: Bed) {
      const { router } = bed.lab
      const script = 'echo made && exec sleep infinity'
      const namespace = router.spawn('unshare', ['-n', 'sh', '-c', script])
      await namespace.line(/^made$/)
      await bed.configure(router, 'sh', ['-ec', behindAPair(namespace.pid)])
      start(bed, '--listen-in', `/proc/${namespace.pid}/ns/net`)
    },
  },
] satisfies Subject[]
