import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { addresses, waitFor } from '../../lab/index.js'
import type { Bed } from '../bed.js'
import type { Subject } from '../subject.js'

/** RFC 6052 section 3.1 excludes documentation addresses from the well-known prefix. */
const prefix = '2001:db8:64::'
/** Addresses of the clients as the server sees them. */
const pool = '203.0.113.0/24'
const device = 'nat64'

export default {
  name: 'tayga',
  title: 'TAYGA',
  kind: 'peer',
  about: 'stateless translation of packets on a TUN, IPv4 addresses from a pool',
  needs: [{ program: 'tayga', package: 'tayga' }],
  dial: (ipv4) => `${prefix}${ipv4}`,
  async start(bed: Bed) {
    const { router, server, directory } = bed.lab
    const file = join(directory, 'tayga.conf')
    writeFileSync(
      file,
      `tun-device ${device}
ipv4-addr 203.0.113.1
prefix ${prefix}/96
dynamic-pool ${pool}
data-dir ${directory}
`,
    )
    bed.relay('tayga', ['-n', '-c', file])
    await waitFor(`the device ${device}`, async () => {
      bed.check()
      return (await router.run('ip', ['link', 'show', device])).code === 0
    })
    const setUp = (...command: string[]) => bed.configure(router, 'ip', command)
    // The default queue of a TUN drops packets under load; this length is faithd's own.
    await setUp('link', 'set', device, 'txqueuelen', '10000', 'up')
    await setUp('route', 'add', pool, 'dev', device)
    await setUp('-6', 'route', 'add', `${prefix}/96`, 'dev', device)
    await bed.setSysctl(router, 'net/ipv4/ip_forward', 1)
    await bed.configure(server, 'ip', ['route', 'add', pool, 'via', addresses.routerIPv4])
  },
} satisfies Subject
