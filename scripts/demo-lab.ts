// The demo: an IPv6-only client, a router with faithd, an IPv4-only server, and programs that know only their own
// address family. It prints each command as typed and checks its result, so a false claim fails the demo.
import {
  accessSync,
  existsSync,
  constants as fileModes,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'

import { Router, addresses, captured, createLab, faithPrefix, namespaces } from '../lab/index.js'
import type { Host, Lab, LabProcess, NginxServer, RunOptions, RunResult } from '../lab/index.js'
import { generate } from '../lab/programs/stream.js'
import { bold, dim, green, print, progress, red } from './steps.mjs'

const server = captured()
const domain = 'www.example.net'
/** Names get addresses in this prefix: the well-known one is for public addresses alone (RFC 6052), which the lab has none of. */
const ownPrefix = '2001:db8:64::/96'
const forbidden = captured('10.0.0.1')
const size = 2 ** 30
const url = (address: string, rest = '/') => `http://[${address}]${rest}`

let current: Lab | undefined
let interruption: NodeJS.Signals | undefined

/** A claim that did not hold. */
class Disproved extends Error {}

function check(holds: boolean, claim: string, evidence = ''): void {
  goOn()
  if (!holds) throw new Disproved(`not so: ${claim}${evidence && `\n${evidence}`}`)
  print(`  ${green('✓')} ${claim}`)
}

/** Stops an interrupted demo from printing more. */
function goOn(): void {
  if (interruption !== undefined) throw new Disproved('interrupted')
}

function title(text: string): void {
  goOn()
  print(`\n${bold(text)}`)
}

function typed(host: Host, command: string, args: readonly string[]): void {
  goOn()
  const prompt = host instanceof Router ? 'router#' : `${host.role}$`
  print(`  ${dim(prompt)} ${lineOf(command, args)}`)
}

/** A command as one types it. */
function lineOf(command: string, args: readonly string[]): string {
  return [command, ...args].map((word) => (/[\s\\]/.test(word) ? `'${word}'` : word)).join(' ')
}

function said(text: string): void {
  for (const line of text.trimEnd().split('\n')) print(`    ${line}`)
}

/** Runs a command in view: prints the command and its output. */
async function show(
  host: Host,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  typed(host, command, args)
  const result = await host.run(command, args, { timeout: 600_000, ...options })
  if (result.stdout || result.stderr) said(result.stdout + result.stderr)
  return result
}

async function waitWithProgress<T>(
  what: string,
  work: Promise<T>,
  done?: () => number,
): Promise<T> {
  const start = performance.now()
  const mebibytes = () => (done ? `${Math.floor(done() / 2 ** 20)} of ${size / 2 ** 20} MiB` : '')
  const live = progress(`  ${what}`, () => (performance.now() - start) / 1000, mebibytes)
  try {
    return await work
  } finally {
    live.stop()
  }
}

/** The folder of a host's files. */
const home = (lab: Lab, host: Host) => join(lab.directory, host.role)

const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0

async function makeFile(file: string): Promise<void> {
  const handle = await open(file, 'w')
  try {
    for (const chunk of generate('demo', size)) await handle.write(chunk)
  } finally {
    await handle.close()
  }
}

/** Moves the file with curl, and returns the rate that curl measured. */
async function move(
  lab: Lab,
  args: readonly string[],
  speed: 'speed_download' | 'speed_upload',
  done: () => number,
): Promise<string> {
  const command = ['-sS', '--fail', '-w', `%{${speed}} bytes/s`, ...args]
  const moving = show(lab.client, 'curl', command, { cwd: home(lab, lab.client) })
  const { code, stdout } = await waitWithProgress('curl', moving, done)
  if (code !== 0) throw new Disproved(`curl ended with exit code ${code}`)
  const bytesPerSecond = Number.parseFloat(stdout)
  const gigabits = ((bytesPerSecond * 8) / 1e9).toFixed(1)
  return `${Math.round(bytesPerSecond / 2 ** 20)} MiB/s, ${gigabits} Gbit/s`
}

async function sha256(lab: Lab, host: Host, name: string): Promise<string> {
  const hashing = show(host, 'sha256sum', [name], { cwd: home(lab, host) })
  const { stdout } = await waitWithProgress('sha256sum', hashing)
  return stdout.split(' ')[0] ?? ''
}

/** Runs a command in view on a client whose /etc/resolv.conf names the router. */
async function showResolving(
  lab: Lab,
  command: string,
  args: readonly string[],
): Promise<RunResult> {
  typed(lab.client, command, args)
  // An empty /run hides the machine's own services for names from the C library. It may hold the file, too.
  const script = [
    'file=$(readlink -f /etc/resolv.conf)',
    'mount -t tmpfs tmpfs /run',
    'echo "nameserver $0" > /run/demo.conf',
    '{ test -e "$file" || { mkdir -p "$(dirname "$file")" && : > "$file"; }; }',
    'mount --bind /run/demo.conf "$file"',
    'exec "$@"',
  ].join(' && ')
  const inside = ['-m', '--propagation', 'private', 'sh', '-c', script, addresses.gateway]
  const result = await lab.client.run('unshare', [...inside, command, ...args])
  said(result.stdout + result.stderr)
  return result
}

async function pageByName(lab: Lab): Promise<void> {
  title('A page by its name: the nameserver of the client is the router')
  const args = ['-sS', '-w', String.raw`%{remote_ip}\n`, `http://${domain}/`]
  const { code, stdout, stderr } = await showResolving(lab, 'curl', args)
  check(code === 0 && stdout.includes('IPv4-only'), 'curl has the page', stderr)
  check(
    stdout.endsWith('\n2001:db8:64::c633:6402\n'),
    `${domain} is ${addresses.server} in the prefix`,
  )
  const shown = `client$ ${lineOf('curl', args)}\n${stdout}`
  check(
    readFileSync(new URL('../README.md', import.meta.url), 'utf8').includes(shown),
    'README.md shows the same',
  )
}

async function page(lab: Lab): Promise<void> {
  title('A page from a web server that has no IPv6')
  const { code, stdout, stderr } = await show(lab.client, 'curl', ['-sS', url(server)])
  check(code === 0 && stdout.includes('IPv4-only'), 'curl has the page', stderr)
  const asked = await show(lab.client, 'curl', ['-sS', url(server, '/whoami')])
  check(asked.stdout.trim() === addresses.routerIPv4, 'the server saw the router, over IPv4')
}

async function bigFile(lab: Lab, nginx: NginxServer): Promise<void> {
  title('1 GiB there and back')
  const original = join(nginx.root, 'gibibyte')
  const copy = join(home(lab, lab.client), 'copy')
  const returned = join(nginx.root, 'returned')

  await waitWithProgress('making a file', makeFile(original), () => sizeOf(original))
  const hash = await sha256(lab, lab.server, 'gibibyte')

  const get = ['-o', 'copy', url(server, '/gibibyte')]
  const down = await move(lab, get, 'speed_download', () => sizeOf(copy))
  check((await sha256(lab, lab.client, 'copy')) === hash, `down whole: ${down}`)
  // Keeps at most two copies at a time: the folder may be memory.
  rmSync(original)

  const arrived = () =>
    Math.max(0, ...readdirSync(nginx.incoming).map((name) => sizeOf(join(nginx.incoming, name))))
  const put = ['-T', 'copy', url(server, '/returned')]
  const up = await move(lab, put, 'speed_upload', arrived)
  check((await sha256(lab, lab.server, 'returned')) === hash, `up whole: ${up}`)
  rmSync(returned)
  rmSync(copy)
}

async function banner(lab: Lab): Promise<void> {
  title("ssh's banner")
  typed(lab.client, 'nc', [server, '22'])
  const nc = lab.client.spawn('nc', [server, '22'])
  const line = await nc.line(/^SSH-/)
  await nc.stop()
  said(line)
  check(line.startsWith('SSH-2.0-'), 'sshd answers')
}

async function refused(lab: Lab): Promise<void> {
  title('A port without a listener')
  const { stderr } = await show(lab.client, 'nc', ['-zv', server, '81'])
  check(/refused/i.test(stderr), 'the connection is refused', stderr)
}

async function denied(lab: Lab, faithd: LabProcess): Promise<void> {
  title('A denied destination: the private network behind the router')
  const { code, stderr } = await show(lab.client, 'nc', ['-zv', '-w', '20', forbidden, '80'])
  check(code !== 0 && !/timed out/i.test(stderr), 'the client gets an error at once', stderr)
  const line = await faithd.line(/10\.0\.0\.1/)
  said(line)
  check(/special-purpose/.test(line), 'faithd logs the denial and its cause')
}

async function counters(lab: Lab, faithd: LabProcess): Promise<void> {
  title('The counters of faithd')
  const already = faithd.lines.length
  typed(lab.router, 'kill', ['-TERM', String(faithd.pid)])
  const { code, signal } = await faithd.stop()
  said(faithd.lines.slice(already).join('\n'))
  check(code === 0, 'faithd ended cleanly', `exit ${signal ?? code}`)
}

/** Finds a folder with room for two copies of the file; otherwise fails with advice. */
function roomyFolder(): string {
  const needed = 2.2 * size
  const folders = [tmpdir(), '/var/tmp', '/dev/shm']
  const roomy = folders.find((folder) => {
    try {
      accessSync(folder, fileModes.W_OK)
      const { bavail, bsize } = statfsSync(folder)
      return bavail * bsize > needed
    } catch {
      return false
    }
  })
  if (roomy === undefined) {
    throw new Disproved(
      `no 2.2 GiB free in ${folders.join(', ')}; set TMPDIR to a folder that has them`,
    )
  }
  return roomy
}

async function demo(): Promise<void> {
  print(`
  client                   router                   server
  IPv6 only                faithd on faith0         IPv4 only
  ${addresses.client}  ──────────  ${faithPrefix}  ──────────  ${addresses.server}`)

  const lab = await createLab({ temporary: roomyFolder() })
  current = lab
  try {
    await perform(lab)
  } finally {
    await lab.close()
  }
  title('Nothing is left')
  const { namespaces: names, directory } = lab
  check(!names.some((name) => namespaces().includes(name)), 'the namespaces are gone')
  check(!existsSync(directory), 'the files are gone')
}

async function perform(lab: Lab): Promise<void> {
  for (const host of [lab.client, lab.server]) mkdirSync(home(lab, host))
  const root = home(lab, lab.server)
  writeFileSync(join(root, 'index.html'), 'Hello from an IPv4-only server.\n')
  const nginx = await lab.server.nginx({ root })
  await lab.server.sshd()
  await lab.server.names({ [domain]: addresses.server })

  title(
    'faithd on the router (--permit and a prefix of its own, because the lab has no public addresses)',
  )
  const resolving = ['--dns64', '--dns64-upstream', addresses.server]
  const args = [...Router.faithdArguments, '-P', ownPrefix, ...resolving]
  typed(lab.router, 'faithd', args)
  const faithd = await lab.router.faithd(args)
  said(faithd.lines.join('\n'))

  await pageByName(lab)
  await page(lab)
  await bigFile(lab, nginx)
  await banner(lab)
  await refused(lab)
  await denied(lab, faithd)
  await counters(lab, faithd)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interruption !== undefined) return
    interruption = signal
    process.stderr.write('\ndemo: interrupted; removing the lab\n')
    const end = () => process.exit(128 + constants.signals[signal])
    if (current === undefined) end()
    else void current.close().finally(end)
  })
}

try {
  await demo()
  print('')
} catch (error) {
  // Gives the signal a few turns to arrive: the end of a program that died of the same Ctrl-C may be seen first.
  for (let turn = 0; turn < 5; turn += 1) await setImmediate()
  if (interruption === undefined) {
    const known = error instanceof Disproved
    const text = known ? error.message : error instanceof Error ? error.stack : error
    process.stderr.write(`${red('demo:')} ${text}\n`)
    process.exitCode = 1
  }
}
