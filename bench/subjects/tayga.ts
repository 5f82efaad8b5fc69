import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { addresses, waitFor } from '../../lab/index.js'
import type { Bed } from '../bed.js'
import type { Subject } from '../subject.js'

/** The well-known prefix is not for addresses of documentation networks (RFC 6052 section 3.1). */
const prefix = '2001:db8:64::'
/** What clients look like to the server. */
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
    // The default queue of a TUN drops under load; faithd makes its own as long.
    await setUp('link', 'set', device, 'txqueuelen', '10000', 'up')
    await setUp('route', 'add', pool, 'dev', device)
    await setUp('-6', 'route', 'add', `${prefix}/96`, 'dev', device)
    await bed.setSysctl(router, 'net/ipv4/ip_forward', 1)
    await bed.configure(server, 'ip', ['route', 'add', pool, 'via', addresses.routerIPv4])
  },
} satisfies Subject
