import { captured } from '../../lab/index.js'
import { datagramPort, nameServerAddress, queryPort, quicPort, serverAddresses } from '../bed.js'
import type { Bed } from '../bed.js'
import { startFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'
import forwarding from './forwarding.js'
import socat from './socat.js'
import tayga from './tayga.js'

const part = { kind: 'datagrams' } as const

const options = ['--protocols', 'tcp,udp']

async function startSocat(bed: Bed): Promise<void> {
  await bed.localRoute()
  const [first] = serverAddresses
  const ends = [
    ...[queryPort, datagramPort, quicPort].map((port) => [first, port] as const),
    [nameServerAddress, queryPort] as const,
  ]
  for (const [address, port] of ends) {
    // Queries of its own port cost a process each, which ends when it has been silent this long.
    const listen = `UDP6-LISTEN:${port},bind=[${captured(address)}],fork,reuseaddr`
    bed.relay('socat', ['-T', '2', '-b', '65536', listen, `UDP4:${address}:${port}`])
  }
}

export default [
  { ...forwarding, ...part, name: 'forwarding-udp' },
  {
    ...part,
    name: 'faithd-udp',
    title: 'faithd',
    about: 'the build of this checkout, for the work items of UDP',
    start: (bed) => startFaithd(bed, options),
  },
  { ...tayga, ...part, name: 'tayga-udp' },
  {
    ...part,
    name: 'socat-udp',
    title: 'socat',
    about: 'on a local route, a process for each port of a client',
    needs: socat.needs,
    sessionsAtMost: socat.sessionsAtMost,
    start: startSocat,
  },
] satisfies Subject[]
