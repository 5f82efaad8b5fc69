import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { captured } from '../../lab/index.js'
import { relayedPorts, serverAddresses } from '../bed.js'
import type { Bed } from '../bed.js'
import type { Subject } from '../subject.js'

/** Pipes and other descriptors of HAProxy besides two per session. */
const spare = 1000
const pipes = 256

export default {
  name: 'haproxy',
  title: 'HAProxy, splice',
  kind: 'peer',
  about: 'on a local route, a thread per core, splicing in both directions',
  needs: [{ program: 'haproxy', package: 'haproxy' }],
  start: (bed) => startHaproxy(bed),
} satisfies Subject

/** Starts HAProxy. With `log` it writes a line of `option tcplog` for each connection to that file. */
export async function startHaproxy(bed: Bed, log?: string): Promise<void> {
  await bed.localRoute()
  const file = join(bed.lab.directory, 'haproxy.cfg')
  writeFileSync(file, configuration(bed, log !== undefined))
  const args = ['-db', '-f', file]
  if (log === undefined) bed.relay('haproxy', args)
  else bed.relay('sh', ['-c', 'exec haproxy "$@" >"$0"', log, ...args])
}

/** Connects to the dialled port, because the server is configured without one. */
function configuration({ machine }: Bed, logs: boolean): string {
  // Stays below the limit of descriptors; HAProxy would not start otherwise.
  const sessions = Math.min(100_000, Math.floor((machine.descriptors - spare) / 2))
  const listeners = serverAddresses.map(
    (address, index) => `
listen server${index}
  bind ${relayedPorts.map((port) => `[${captured(address)}]:${port}`).join(',')}
  server server${index} ${address}
`,
  )
  return `
global
  nbthread ${machine.cores}
  maxconn ${sessions}
  maxpipes ${pipes}
${logs ? '  log stdout format raw local0' : ''}
defaults
${logs ? '  log global\n  option tcplog' : ''}
  mode tcp
  maxconn ${sessions}
  option splice-request
  option splice-response
  timeout connect 10s
  timeout client 1h
  timeout server 1h
${listeners.join('')}`
}
