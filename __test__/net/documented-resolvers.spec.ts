/**
 * Debian's resolvers run by the files of docs/dns64.md as they stand, on the router of the lab, in front of faithd. The
 * commands of the document find the lab's server by its name, and curl reaches it through faithd.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { root } from '../fixtures/documented.js'
import { RootServers } from '../fixtures/root-servers.js'

const guide = readFileSync(join(root, 'docs/dns64.md'), 'utf8')
/** The files of the document by their paths. */
const files = new Map(
  Array.from(
    guide.matchAll(/^`(\/etc\/[^`]+)`:\n\n```\n(.*?)^```$/gms),
    ([, path = '', text = '']) => [path, text],
  ),
)
/** The commands of the document, without those of faithd. */
const commands = Array.from(guide.matchAll(/^```sh\n(.*?)^```$/gms), ([, block = '']) =>
  block.trim().split('\n'),
)
  .flat()
  .filter((command) => !command.startsWith('faithd '))

/** A resolver of Debian: the file of the document, and its start after Debian's own unit. */
interface Resolver {
  file: string
  /** The folders that it changes. The lab gives it copies. */
  folders: readonly string[]
  /** The trust anchor: the file that Debian's package reads, and its text. */
  anchor(servers: RootServers): readonly [path: string, text: string]
  /** Files for a process that stays root, because the lab may have no other user. */
  more?: readonly (readonly [path: string, text: string])[]
  start: string
}

const resolvers: Record<string, Resolver> = {
  unbound: {
    file: '/etc/unbound/unbound.conf.d/dns64.conf',
    folders: ['/etc/unbound', '/var/lib/unbound'],
    anchor: ({ key }) => ['/var/lib/unbound/root.key', `${key}\n`],
    more: [['/etc/unbound/unbound.conf.d/lab.conf', 'server:\n    username: ""\n']],
    start: 'exec unbound -d -p',
  },
  BIND: {
    file: '/etc/bind/named.conf.options',
    folders: ['/etc/bind', '/var/cache/bind'],
    anchor: ({ key }) => {
      const [, numbers, text] = /DNSKEY (\d+ \d+ \d+) (.*)$/.exec(key) ?? []
      return ['/etc/bind/bind.keys', `trust-anchors { . initial-key ${numbers} "${text}"; };\n`]
    },
    start: 'mkdir -p /run/named && exec named -g',
  },
  'Knot Resolver': {
    file: '/etc/knot-resolver/kresd.conf',
    folders: ['/etc/knot-resolver', '/usr/share/dns', '/var/lib/knot-resolver'],
    anchor: ({ key }) => ['/usr/share/dns/root.key', `${key}\n`],
    start:
      'cd /var/lib/knot-resolver && mkdir -p /run/knot-resolver/control && exec kresd -n ' +
      '-c /usr/lib/$(uname -m)-linux-gnu/knot-resolver/distro-preconfig.lua -c /etc/knot-resolver/kresd.conf',
  },
}

let lab: Lab
let servers: RootServers

test.before(async () => {
  lab = await createLab({ ipv6Server: true })
  servers = await RootServers.start(lab, [
    'www.example.net. 300 IN A 198.51.100.2',
    'alias.example.net. 300 IN CNAME www.example.net.',
    'both.example.net. 300 IN A 198.51.100.2',
    'both.example.net. 300 IN AAAA 2001:db8:3::2',
  ])
  await lab.server.nginx()
  await lab.router.faithd()
})

test.after.always(() => lab.close())

/** Starts a resolver by its file of the document, and waits for its answers. */
async function start(resolver: Resolver): Promise<LabProcess> {
  const { file, folders, anchor, more = [], start: begin } = resolver
  const place = join(lab.directory, `resolver-${folders[0]?.replaceAll('/', '-')}`)
  const copies = folders.map((folder) => ({ folder, copy: join(place, folder) }))
  for (const { folder, copy } of copies) {
    mkdirSync(dirname(copy), { recursive: true })
    // An ordinary user may not read every file, such as rndc.key; the resolver ends if it needs it.
    await lab.router.run('cp', ['-r', folder, copy])
  }
  const document = files.get(file)
  if (document === undefined) throw new Error(`docs/dns64.md has no ${file}`)
  for (const [path, text] of [[file, document], anchor(servers), ...more] as const) {
    writeFileSync(join(place, path), text)
  }
  const script = [
    'set -e',
    'mount -t tmpfs tmpfs /run',
    ...copies.map(({ folder, copy }) => `mount --bind ${copy} ${folder}`),
    begin,
  ].join('\n')
  const options = ['-m', '--propagation', 'private', 'sh', '-c', script]
  const started = lab.router.spawn('unshare', options)
  await waitFor('the resolver to answer', async () => {
    if (!started.running) throw new Error(`the resolver ended; it printed:\n${started.output}`)
    return (await dig('+short', '+tries=1', '+time=5', 'A', 'www.example.net')) === '198.51.100.2'
  })
  return started
}

/**
 * Leaves out dig's notes of tries without an answer. A resolver that has just begun may look for servers longer than dig
 * waits, and answers the next try.
 */
function answer(stdout: string): string {
  return stdout.replaceAll(/^;; communications error .*: timed out\n/gm, '').trim()
}

async function dig(...args: string[]): Promise<string> {
  const { stdout } = await lab.client.run('dig', [...args, '@2001:db8:1::1'])
  return answer(stdout)
}

/** The records of a name, sorted. */
async function records(type: string, name: string): Promise<string[]> {
  return (await dig('+short', type, name)).split('\n').toSorted()
}

/** Runs a command of the document on the client, whose resolver is the router. */
async function onClient(command: string): Promise<string> {
  const resolv = join(lab.directory, 'resolv.conf')
  writeFileSync(resolv, 'nameserver 2001:db8:1::1\n')
  const script = `mount --bind ${resolv} /etc/resolv.conf && ${command}`
  const options = ['-m', '--propagation', 'private', 'sh', '-c', script]
  const { code, stdout, stderr } = await lab.client.run('unshare', options)
  return code === 0 ? answer(stdout) : `exit ${code}: ${stderr}`
}

test('the document has a file for each resolver, and commands', (t) => {
  t.deepEqual(
    [...files.keys()].toSorted(),
    Object.values(resolvers)
      .map(({ file }) => file)
      .toSorted(),
  )
  t.deepEqual(
    commands.map((command) => command.split(' ')[0]),
    ['dig', 'getent', 'curl', 'dig'],
  )
})

for (const [name, resolver] of Object.entries(resolvers)) {
  test.serial(`${name} does DNS64 by the file of the document`, async (t) => {
    const process = await start(resolver)
    const address = '64:ff9b::c633:6402'

    const [ask, lookUp, fetch, askPrefix] = commands
    t.is(await onClient(ask ?? ''), address, process.output)
    t.regex(await onClient(lookUp ?? ''), new RegExp(`^${address} +STREAM`), process.output)
    // The server sees the router, which dialled it: the client has no IPv4 address.
    t.is(await onClient(fetch ?? ''), '198.51.100.1', process.output)
    t.deepEqual(
      (await onClient(askPrefix ?? '')).split('\n').toSorted(),
      ['64:ff9b::c000:aa', '64:ff9b::c000:ab'],
      process.output,
    )

    t.deepEqual(await records('A', 'ipv4only.arpa'), ['192.0.0.170', '192.0.0.171'])
    t.deepEqual(await records('AAAA', 'both.example.net'), ['2001:db8:3::2'])
    t.deepEqual(await records('AAAA', 'alias.example.net'), [address, 'www.example.net.'])
    t.regex(await dig('AAAA', 'none.example.net'), /status: NXDOMAIN/)
    // The resolver validates: the zone is signed.
    t.regex(await dig('A', 'www.example.net'), /flags: [a-z ]*\bad\b/)
    await waitFor('the log of the root servers', () => servers.asked.includes('alias.example.net'))
    t.false(servers.asked.includes('ipv4only.arpa'), servers.asked)
    await process.stop()
  })
}
