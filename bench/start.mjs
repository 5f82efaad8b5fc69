// `npm run bench`: installs what is missing, then starts run.ts. Plain Node without packages, like the scripts, because
// it installs them.
import { ensurePrograms } from '../scripts/debian.mjs'
import { inLab } from '../scripts/namespaces.mjs'
import { checkTools, ensureBuilt, ensureNodeModules } from '../scripts/prepare.mjs'
import { Failure, become, print, runScript } from '../scripts/steps.mjs'

/** @typedef {Parameters<typeof ensurePrograms>[0]} Programs */

/** Programs that every benchmark needs. @type {Programs} */
const benchPrograms = ['ip', 'iperf3', 'ping', 'setpriv']
/** Programs of the peers. @type {Programs} */
const peerPrograms = [
  '/usr/lib/nginx/modules/ngx_stream_module.so',
  '/usr/sbin/named',
  '/usr/sbin/nsd',
  '/usr/sbin/unbound',
  'dig',
  'dnsperf',
  'haproxy',
  'nginx',
  'socat',
  'tayga',
]

/** Installs the peers. A missing peer is left out of the comparison, which says so. */
async function ensurePeers() {
  try {
    await ensurePrograms(peerPrograms)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    print(`${error.message}; going on without`)
  }
}

await runScript('bench', async () => {
  const args = process.argv.slice(2)
  const measures = !args.some((argument) => /^(-h|--help|--from\b.*)$/.test(argument))
  if (measures && process.getuid?.() !== 0) {
    throw new Failure(
      'measuring needs root, for network namespaces, TUN devices, cgroups and the peers; run: sudo npm run bench',
    )
  }
  checkTools()
  if (measures) {
    const profiler = args.includes('--profile') ? /** @type {const} */ (['perf']) : []
    await ensurePrograms([...benchPrograms, ...profiler])
    await ensurePeers()
  }
  await ensureNodeModules()
  if (measures) await ensureBuilt()
  /** @type {readonly [string, ...string[]]} */
  const command = [process.execPath, '--import', '@oxc-node/core/register', 'bench/run.ts', ...args]
  return await become(measures ? inLab(command) : command)
})
