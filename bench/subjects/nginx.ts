import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { captured } from '../../lab/index.js'
import { relayedPorts, serverAddresses } from '../bed.js'
import type { Bed } from '../bed.js'
import type { Subject } from '../subject.js'

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so'

export default {
  name: 'nginx',
  title: 'nginx stream',
  kind: 'peer',
  about: 'on a local route, a worker per core',
  needs: [
    { program: 'nginx', package: 'nginx' },
    { program: streamModule, package: 'libnginx-mod-stream' },
  ],
  start: (bed) => startNginx(bed),
} satisfies Subject

/** Starts nginx. With `log` it writes a line of `access_log` for each connection to that file. */
export async function startNginx(bed: Bed, log?: string): Promise<void> {
  await bed.localRoute()
  const home = bed.lab.directory
  const file = join(home, 'nginx.conf')
  writeFileSync(file, configuration(bed, home, log))
  bed.relay('nginx', ['-p', home, '-e', 'stderr', '-c', file])
}

function configuration({ machine }: Bed, home: string, log?: string): string {
  const descriptors = Math.min(200_000, machine.descriptors)
  const servers = serverAddresses.map((address) => {
    const listen = relayedPorts.map(
      (port) => `listen [${captured(address)}]:${port} reuseport backlog=4096;`,
    )
    return `server { ${listen.join(' ')} proxy_pass ${address}:$server_port; }`
  })
  return `
load_module ${streamModule};
daemon off;
user root root;
worker_processes ${machine.cores};
worker_rlimit_nofile ${descriptors};
pid ${home}/nginx-relay.pid;
error_log stderr crit;
events { worker_connections ${descriptors}; }
stream {
  proxy_connect_timeout 10s;
  proxy_timeout 1h;
  ${log === undefined ? '' : `log_format session '$remote_addr:$remote_port [$time_local] $server_addr:$server_port $upstream_addr $status $bytes_received $bytes_sent $session_time'; access_log ${log} session;`}
  ${servers.join('\n  ')}
}
`
}
