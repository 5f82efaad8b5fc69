// The specs of faithd as another user (--user): every spec of the lab that starts faithd, but for a few. `FAITHD_LAB_USER`
// has lab/host.ts add the option.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

const folder = '__test__/net'

/** Files that start faithd, and have it become the user. */
const starts = /\brouter\.faithd\(|\buserArguments\b/

/** Specs that would show nothing more, by the reason. */
const leftOut = {
  'it chooses the users itself': ['privileges'],
  'systemd or npm starts faithd, and not the lab': ['package', 'service'],
  'it asks for each path of the control socket, in every way, and no path knows the user': [
    'control-docs',
    'control-openapi',
  ],
  'rlogin and rsh need a port below 1024, and a test of their own has faithd become a user': [
    'rsh',
  ],
  // The suite takes three minutes without them, and more than four with them.
  'it is about times and bytes of connections, for which faithd has no privilege in either case': [
    'connect-first',
    'last-words',
    'round-trips',
    'transfer',
    'vanish',
  ],
}

/** Tests of what faithd cannot do afterwards (docs/privileges.md), by what that is. */
const impossible = {
  'a further interface': [
    'POST /v1/interfaces with {"name":"lan0"*',
    'a reload over the socket answers with the changes*',
    'interfaces are made over the socket, capture*',
    'prefixes and interfaces come and go',
    'a prefix moves to another interface*',
  ],
  'a reset for clients of an interface that another program deleted': [
    'clients are reset when the interface is deleted*',
  ],
  'a connection or a datagram from a port below 1024': [
    'a privileged source *',
    'the server sees the range and the parity of a client’s port below 1024',
    'traceroute and mtr see each router on the way by TCP, with PROXY headers, privileged ports *',
  ],
  'a program for a local service': ['a line about a local service does not tell*'],
}

/** @type {Map<string, boolean>} */
const known = new Map()

/** Tells if a spec, or a fixture of it, starts faithd. @param {string} file @returns {boolean} */
function startsFaithd(file) {
  const before = known.get(file)
  if (before !== undefined) return before
  known.set(file, false)
  const text = readFileSync(file, 'utf8')
  const imported = [...text.matchAll(/from '(\.[^']*)\.js'/g)]
    .map(([, path]) => join(dirname(file), `${path}.ts`))
    .filter((path) => path.startsWith('__test__') && existsSync(path))
  const found = starts.test(text) || imported.some(startsFaithd)
  known.set(file, found)
  return found
}

/** The arguments of ava that run them. @returns {string[]} */
export function userSpecs() {
  const without = new Set(Object.values(leftOut).flat())
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.spec.ts') && !without.has(name.replace('.spec.ts', '')))
    .map((name) => join(folder, name))
    .filter(startsFaithd)
  const titles = Object.values(impossible).flat()
  return ['--match=*', ...titles.map((title) => `--match=!${title}`), ...files]
}
