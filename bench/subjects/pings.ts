import { waitFor } from '../../lab/index.js'
import { serverAddresses } from '../bed.js'
import type { Bed } from '../bed.js'
import { startFaithd } from '../faithd.js'
import type { Subject } from '../subject.js'
import forwarding from './forwarding.js'
import tayga from './tayga.js'

/** Waits until the server answers a ping through the subject. */
async function answers(bed: Bed): Promise<void> {
  await waitFor('a ping to be answered', async () => {
    bed.check()
    const target = bed.dial(serverAddresses[0])
    return (await bed.lab.client.run('ping', ['-n', '-c', '1', '-W', '1', target])).code === 0
  })
}

const part = { kind: 'pings', answers } as const

export default [
  { ...forwarding, ...part, name: 'forwarding-ping' },
  {
    ...part,
    name: 'faithd-ping',
    title: 'faithd',
    about: 'the build of this checkout, for the work item ping',
    start: (bed) => startFaithd(bed),
  },
  { ...tayga, ...part, name: 'tayga-ping' },
] satisfies Subject[]
