/** The PROXY protocol, as servers in common use read it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'

/** Ports at which a server answers with the client's address and the dialled address as it sees them. */
const ports = { haproxy: 8001, nginx: 8002, strict: 8003 } as const

const versions = ['1', '2'] as const
type Version = (typeof versions)[number]

let lab: Lab
let client: Sockets
let server: Sockets
let faithds: Record<Version, Faithd>

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  server = Sockets.of(lab.server)
  await Promise.all([startHaproxy(), startNginx()])
  const [first, second] = await Promise.all(
    versions.map((version) => {
      const place = { name: `proxy${version}`, prefix: `3fff:${version}::` }
      return startFaithd(lab, [...permitted, '--proxy-protocol', version], 'by itself', place)
    }),
  )
  if (first === undefined || second === undefined) throw new Error('two faithds are needed')
  faithds = { 1: first, 2: second }
})

test.after.always(() => lab.close())

async function startHaproxy(): Promise<void> {
  const file = join(lab.directory, 'haproxy.cfg')
  writeFileSync(
    file,
    `defaults
  mode http
  timeout client 20s
frontend behind
  bind :${ports.haproxy} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
`,
  )
  lab.server.spawn('haproxy', ['-db', '-f', file])
  await waitFor('HAProxy to listen', () => lab.server.listening(ports.haproxy))
}

async function startNginx(): Promise<void> {
  const home = join(lab.directory, 'behind')
  mkdirSync(home)
  const file = join(home, 'nginx.conf')
  const says =
    '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port'
  writeFileSync(
    file,
    `daemon off;
master_process off;
user root root;
pid ${home}/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  default_type text/plain;
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi;
  scgi_temp_path ${home}/scgi;
  server { listen ${ports.nginx} proxy_protocol; return 200 "${says}"; }
  server {
    listen ${ports.strict} proxy_protocol;
    set_real_ip_from ${addresses.routerIPv4};
    real_ip_header proxy_protocol;
    allow ${addresses.client};
    deny all;
    location / { try_files /none @told; }
    location @told { return 200 "$remote_addr"; }
  }
}
`,
  )
  lab.server.spawn('nginx', ['-p', home, '-e', 'stderr', '-c', file])
  await waitFor('nginx to listen', () => lab.server.listening(ports.strict))
}

/** The server's answer, and the client's port. */
async function ask(address: string, port: number): Promise<{ answer: string; from: string }> {
  const mark = '\nfrom '
  const url = `http://[${address}]:${port}/`
  const page = await lab.client.run('curl', ['-sS', '-w', `${mark}%{local_port}`, url])
  if (page.code !== 0) throw new Error(page.stderr)
  const [answer = '', from = ''] = page.stdout.split(mark)
  return { answer, from }
}

/** An address in the form of RFC 5952, which these servers print. */
function printed(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}

for (const version of versions) {
  for (const name of ['haproxy', 'nginx'] as const) {
    test(`${name} reads the client and the dialled address from version ${version}`, async (t) => {
      const dialled = faithds[version].address()
      const { answer, from } = await ask(dialled, ports[name])
      t.is(answer, `${addresses.client} ${from} ${printed(dialled)} ${ports[name]}`)
    })
  }

  test(`nginx decides by the client’s own address from version ${version}`, async (t) => {
    const { answer } = await ask(faithds[version].address(), ports.strict)
    t.is(answer, addresses.client)
  })

  test(`the client’s bytes follow the header of version ${version} at once`, async (t) => {
    const port = 8100 + Number(version)
    const faithd = faithds[version]
    const listening = await server.listen(port)
    const near = await client.connect(faithd.address(), port)
    const far = await listening.accept()
    near.says('hello')
    const header = await waitFor('the header and the word', async () => {
      const { text } = await far.status()
      return text.endsWith('hello') ? text.slice(0, -'hello'.length) : ''
    })
    const from = await near.port()
    if (version === '1') {
      const dialled = printed(faithd.address())
      t.is(header, `PROXY TCP6 ${addresses.client} ${dialled} ${from} ${port}\r\n`)
    } else {
      const bytes = Buffer.from(header, 'latin1')
      t.is(bytes.subarray(0, 16).toString('hex'), '0d0a0d0a000d0a515549540a21210024')
      t.is(bytes.length, 16 + 36)
      t.is(bytes.readUInt16BE(16 + 32), from)
      t.is(bytes.readUInt16BE(16 + 34), port)
    }
    // Byte counts cover the client's bytes, without the relay's header.
    near.ends()
    far.ends()
    t.like(await faithd.sessionTo(port), { bytesUp: 5, reason: 'closed' })
  })

  test(`a server that speaks first gets the header before, in version ${version}`, async (t) => {
    const port = 8200 + Number(version)
    const listening = await server.listen(port, { greet: '220 ready\r\n' })
    const near = await client.connect(faithds[version].address(), port)
    await near.hears('220 ready\r\n')
    const far = await listening.accept()
    const heard = await waitFor('the header', async () => (await far.status()).received)
    t.true(heard >= 52)
  })
}

test('without the option the server gets no header', async (t) => {
  const faithd = await startFaithd(lab, permitted, 'by itself', {
    name: 'proxy0',
    prefix: '3fff::',
  })
  const port = 8300
  const listening = await server.listen(port)
  const near = await client.connect(faithd.address(), port)
  const far = await listening.accept()
  near.says('hello')
  await far.hears('hello')
  const page = await lab.client.run('curl', ['-sS', `http://[${faithd.address()}]:${ports.nginx}/`])
  t.not(page.code, 0)
})
