// The programs of the demo and the tests, and their Debian packages. As root the scripts install missing ones;
// otherwise they print the command that does.
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { execFileSync } from 'node:child_process'
import { delimiter, join } from 'node:path'

import { isMachineRoot } from './namespaces.mjs'
import { Failure, root, step } from './steps.mjs'

/** Maps a program on the path, or a file by its full name, to its package. */
const packages = {
  '/etc/services': 'netbase',
  '/usr/include/bpf/bpf_helpers.h': 'libbpf-dev',
  '/lib/systemd/systemd-journald': 'systemd',
  '/usr/lib/nginx/modules/ngx_stream_module.so': 'libnginx-mod-stream',
  '/usr/lib/python3/dist-packages/pyftpdlib': 'python3-pyftpdlib',
  '/usr/sbin/bird': 'bird2',
  // Uses the full name: npm puts another program of this name first on the path.
  '/usr/sbin/in.rshd': 'rsh-redone-server',
  '/usr/sbin/in.tftpd': 'tftpd-hpa',
  '/usr/sbin/inetd': 'openbsd-inetd',
  '/usr/sbin/kresd': 'knot-resolver',
  '/usr/sbin/named': 'bind9',
  '/usr/sbin/nft': 'nftables',
  '/usr/sbin/nsd': 'nsd',
  '/usr/sbin/radvd': 'radvd',
  '/usr/sbin/telnetd': 'inetutils-telnetd',
  '/usr/sbin/unbound': 'unbound',
  '/usr/share/dns/root.key': 'dns-root-data',
  '/bin/login': 'login',
  clang: 'clang',
  curl: 'curl',
  'dbus-daemon': 'dbus-daemon',
  debootstrap: 'debootstrap',
  dig: 'bind9-dnsutils',
  dnsperf: 'dnsperf',
  'dnssec-signzone': 'bind9-utils',
  fish: 'fish',
  haproxy: 'haproxy',
  'inetutils-telnet': 'inetutils-telnet',
  ip: 'iproute2',
  iperf3: 'iperf3',
  lftp: 'lftp',
  lintian: 'lintian',
  'llvm-strip': 'llvm',
  logrotate: 'logrotate',
  man: 'man-db',
  mandoc: 'mandoc',
  mtr: 'mtr-tiny',
  nc: 'netcat-openbsd',
  'netkit-rsh': 'rsh-client',
  nfcapd: 'nfdump',
  nfdump: 'nfdump',
  nginx: 'nginx',
  ntpdig: 'ntpsec-ntpdig',
  nmap: 'nmap',
  openssl: 'openssl',
  openvpn: 'openvpn',
  perf: 'linux-perf',
  promtool: 'prometheus',
  ping: 'iputils-ping',
  ps: 'procps',
  python3: 'python3',
  rsyslogd: 'rsyslog',
  script: 'bsdutils',
  setpriv: 'util-linux',
  socat: 'socat',
  'ssh-keygen': 'openssh-client',
  sshd: 'openssh-server',
  'systemd-analyze': 'systemd',
  'systemd-socket-activate': 'systemd',
  tayga: 'tayga',
  tmux: 'tmux',
  tnftp: 'tnftp',
  traceroute: 'traceroute',
  wget: 'wget',
  zsh: 'zsh',
}

/** @typedef {keyof typeof packages} Program */

/** @type {readonly Program[]} */
export const demoPrograms = ['curl', 'ip', 'nc', 'nginx', 'setpriv', 'ssh-keygen', 'sshd']
/** @type {readonly Program[]} */
export const bpfPrograms = ['clang', 'llvm-strip', '/usr/include/bpf/bpf_helpers.h']
/** @type {readonly Program[]} */
export const labPrograms = [
  ...demoPrograms,
  '/bin/login',
  '/etc/services',
  '/lib/systemd/systemd-journald',
  '/usr/lib/python3/dist-packages/pyftpdlib',
  '/usr/sbin/bird',
  '/usr/sbin/in.rshd',
  '/usr/sbin/in.tftpd',
  '/usr/sbin/inetd',
  '/usr/sbin/kresd',
  '/usr/sbin/named',
  '/usr/sbin/nft',
  '/usr/sbin/nsd',
  '/usr/sbin/radvd',
  '/usr/sbin/telnetd',
  '/usr/sbin/unbound',
  '/usr/share/dns/root.key',
  'dbus-daemon',
  'dig',
  'dnsperf',
  'dnssec-signzone',
  'fish',
  'haproxy',
  'inetutils-telnet',
  'iperf3',
  'lftp',
  'logrotate',
  'man',
  'mandoc',
  'mtr',
  'netkit-rsh',
  'nfcapd',
  'nfdump',
  'nmap',
  'ntpdig',
  'openssl',
  'openvpn',
  'ping',
  'promtool',
  'ps',
  'python3',
  'rsyslogd',
  'script',
  'systemd-analyze',
  'systemd-socket-activate',
  'tayga',
  'tmux',
  'tnftp',
  'traceroute',
  'wget',
  'zsh',
]

/**
 * Packages of servers that the lab runs. Debian lets only one FTP server and one inetd be installed, and systemd-resolved
 * would take over the machine's /etc/resolv.conf. libsystemd-shared must have the version of systemd-resolved.
 */
const unpacked = [
  'vsftpd',
  'proftpd-core',
  'pure-ftpd',
  'inetutils-inetd',
  'xinetd',
  'systemd-resolved',
  'libnss-resolve',
  'libsystemd-shared',
]

/** The folder with the files of these packages. */
export const unpackedFolder = join(root, 'target', 'unpacked')

/** Unpacks these packages side by side, and as root installs the libraries that they need. */
export async function ensureUnpacked() {
  const there = join(unpackedFolder, 'unpacked')
  if (existsSync(there) && readFileSync(there, 'utf8') === unpacked.join()) return
  const libraries = unpacked.flatMap((name) =>
    execFileSync('apt-cache', ['depends', '--important', name], { encoding: 'utf8' })
      .split('\n')
      .flatMap((line) => /^ {2}Depends: (lib\S+)$/.exec(line)?.[1] ?? []),
  )
  const missing = new Set(libraries.filter((name) => !unpacked.includes(name)))
  await installPackages(unpacked, [...missing].toSorted())
  rmSync(unpackedFolder, { recursive: true, force: true })
  mkdirSync(unpackedFolder, { recursive: true })
  const unpack =
    'cd "$0" && apt-get download "$@" && for file in *.deb; do dpkg-deb -x "$file" . || exit; done'
  await step('servers unpacked', 'sh', ['-c', unpack, unpackedFolder, ...unpacked])
  writeFileSync(there, unpacked.join())
}

/** Programs that the proofs of a release run. @type {readonly Program[]} */
export const releasePrograms = ['debootstrap', 'ip', 'lintian', 'setpriv']

/**
 * Installs missing programs as root; otherwise fails with the command that does.
 *
 * @param {readonly Program[]} programs
 */
export async function ensurePrograms(programs) {
  const missing = programs.filter((program) => !found(program))
  if (missing.length === 0) return
  const names = [...new Set(missing.map((program) => packages[program]))].toSorted()
  await installPackages(missing, names)
}

/**
 * Installs packages as root; otherwise fails with the command that does.
 *
 * @param {readonly string[]} missing the programs that need them
 * @param {readonly string[]} names
 */
async function installPackages(missing, names) {
  const command = `apt-get install -y --no-install-recommends ${names.join(' ')}`
  if (!found('apt-get'))
    throw new Failure(
      `${missing.join(', ')} not found; install them (in Debian: ${names.join(' ')})`,
    )
  if (!isMachineRoot()) throw new Failure(`${missing.join(', ')} not found; run: sudo ${command}`)
  await withoutStartingServices(async () => {
    const env = { DEBIAN_FRONTEND: 'noninteractive' }
    const wait = ['-o', 'DPkg::Lock::Timeout=300']
    if (listsAreOld()) await step('apt-get update', 'apt-get', [...wait, 'update'], { env })
    const install = [...wait, 'install', '-y', '--no-install-recommends', ...names]
    await step(`apt-get install ${names.join(' ')}`, 'apt-get', install, {
      env,
      // Killing dpkg in the middle would leave a system that must be repaired by hand.
      killable: false,
    })
  })
}

/**
 * True if a program is on the path or in Debian's folders for root's programs, or if a file exists.
 *
 * @param {string} program
 */
export function found(program) {
  if (program.startsWith('/')) return existsSync(program)
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/local/sbin',
    '/usr/sbin',
    '/sbin',
  ]
  // Debian keeps several versions of LLVM side by side; bpf/build.sh asks clang for the folder of its own tools.
  if (program === 'llvm-strip') folders.push(...llvmFolders())
  return folders.some((folder) => executable(join(folder, program)))
}

function llvmFolders() {
  try {
    return readdirSync('/usr/lib')
      .filter((name) => name.startsWith('llvm-'))
      .map((name) => `/usr/lib/${name}/bin`)
  } catch {
    return []
  }
}

function listsAreOld() {
  const folder = '/var/lib/apt/lists'
  try {
    const lists = readdirSync(folder).filter((name) => name.includes('_Packages'))
    const newest = Math.max(...lists.map((name) => statSync(join(folder, name)).mtimeMs))
    const fetched = Math.max(newest, statSync(join(folder, 'partial')).mtimeMs)
    return lists.length === 0 || Date.now() - fetched > 24 * 3600 * 1000
  } catch {
    return true
  }
}

/**
 * Keeps packages from starting their services while `install` runs: their install scripts obey policy-rc.d.
 *
 * @param {() => Promise<void>} install
 */
async function withoutStartingServices(install) {
  const policy = '/usr/sbin/policy-rc.d'
  const saved = `${policy}.before-faithd`
  const had = existsSync(policy)
  if (had) renameSync(policy, saved)
  try {
    writeFileSync(policy, '#!/bin/sh\nexit 101\n')
    chmodSync(policy, 0o755)
    await install()
  } finally {
    if (had) renameSync(saved, policy)
    else rmSync(policy, { force: true })
  }
}

/** @param {string} path */
function executable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
