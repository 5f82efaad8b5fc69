import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { Host } from './host.js'
import type { LabProcess } from './process.js'
import { program } from './programs.js'
import { runNow } from './run-now.js'
import { waitFor } from './wait.js'

/** A listening server. */
export class Server {
  readonly process: LabProcess
  readonly port: number

  constructor(process: LabProcess, port: number) {
    this.process = process
    this.port = port
  }

  async stop(): Promise<void> {
    await this.process.stop()
  }
}

/** nginx, and the folders it serves from and writes to. */
export class NginxServer extends Server {
  /** The folder that nginx serves; a PUT ends up here. */
  readonly root: string
  /** The folder where a PUT grows until it is complete. */
  readonly incoming: string

  constructor(process: LabProcess, port: number, root: string, incoming: string) {
    super(process, port)
    this.root = root
    this.incoming = incoming
  }
}

/** The IPv4-only host. Each server is listening when its method returns. */
export class ServerHost extends Host {
  readonly #directory: string

  constructor(role: string, namespace: string, directory: string) {
    super(role, namespace)
    this.#directory = directory
  }

  /** Serves `root` over HTTP and stores what is PUT there. Without a root, serves one page with the peer's address. */
  async nginx({ root, port = 80 }: { root?: string; port?: number } = {}): Promise<NginxServer> {
    const home = this.#folder('nginx')
    const served = root ?? join(home, 'html')
    const incoming = join(home, 'body')
    mkdirSync(served, { recursive: true })
    mkdirSync(incoming)
    const configuration = join(home, 'nginx.conf')
    writeFileSync(configuration, nginxConfiguration(home, served, incoming, port))
    const nginx = this.spawn('nginx', ['-p', home, '-e', 'stderr', '-c', configuration])
    await this.#listens('nginx', nginx, port)
    return new NginxServer(nginx, port, served, incoming)
  }

  /** OpenSSH's server with its own key. In a user namespace with one user it sends its banner and nothing else. */
  async sshd({ port = 22 }: { port?: number } = {}): Promise<Server> {
    const key = join(this.#folder('sshd'), 'host_key')
    runNow('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const options = [`HostKey=${key}`, `Port=${port}`, 'PidFile=none', 'UsePAM=no'].flatMap(
      (option) => ['-o', option],
    )
    const path = await this.run('sh', ['-c', 'command -v sshd'])
    // Gives sshd a private /run: it insists on the compiled-in path /run/sshd.
    const script = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && exec "$@"'
    const command = [path.stdout.trim(), '-D', '-e', '-f', '/dev/null', ...options]
    const sshd = this.spawn('unshare', [
      '-m',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      'sh',
      ...command,
    ])
    await this.#listens('sshd', sshd, port)
    return new Server(sshd, port)
  }

  /** iperf3's server, for one client at a time. */
  async iperf3({ port = 5201 }: { port?: number } = {}): Promise<Server> {
    const iperf3 = this.spawn('iperf3', ['-s', '-p', String(port)])
    await this.#listens('iperf3', iperf3, port)
    return new Server(iperf3, port)
  }

  /** Sends everything back, and closes its side after the client closes. */
  async echo({ port = 7 }: { port?: number } = {}): Promise<Server> {
    return await this.#ours('echo', port)
  }

  /** The counterpart of the lab's client programs; see programs/peer.ts. */
  async peer({ port = 7000 }: { port?: number } = {}): Promise<Server> {
    return await this.#ours('peer', port)
  }

  /** A DNS server at port 53, over UDP, with the IPv4 addresses of these names. */
  async names(records: Readonly<Record<string, string>>): Promise<Server> {
    const args = Object.entries(records).map((record) => record.join('='))
    const process = this.node(program('names'), args)
    await process.line(/^listening$/)
    return new Server(process, 53)
  }

  async #ours(name: string, port: number): Promise<Server> {
    const process = this.node(program(name), ['--port', String(port)])
    await process.line(/^listening$/)
    return new Server(process, port)
  }

  #folder(name: string): string {
    const folder = mkdtempSync(join(this.#directory, `${name}-`))
    chmodSync(folder, 0o755)
    return folder
  }

  async #listens(name: string, process: LabProcess, port: number): Promise<void> {
    await waitFor(`${name} to listen on port ${port}`, async () => {
      if (await this.listening(port)) return true
      if (!process.running)
        throw new Error(
          `${process.command}: ended before it listened; it printed:\n${process.output}`,
        )
      return false
    })
  }
}

function nginxConfiguration(home: string, root: string, incoming: string, port: number): string {
  return `
# Runs one process in the foreground, which leaves no worker behind when it ends.
daemon off;
master_process off;
# A user namespace may have no other user for nginx's files.
user root root;
pid ${home}/nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  default_type application/octet-stream;
  types { text/plain txt; text/html html; }
  sendfile on;
  client_max_body_size 0;
  client_body_temp_path ${incoming};
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi;
  scgi_temp_path ${home}/scgi;
  server {
    listen ${port} backlog=4096;
    root ${root};
    location / { dav_methods PUT; }
    location = /whoami { default_type text/plain; return 200 "$remote_addr\\n"; }
  }
}
`
}
