// Builds everything and nothing else: the native addon, the TypeScript, and the BPF objects where clang is
// there. (Without clang the objects that are checked in are the ones that are used.)
import { found, bpfPrograms } from './debian.mjs'
import { checkTools, ensureBuilt, ensureNodeModules } from './prepare.mjs'
import { runScript, step } from './steps.mjs'

await runScript('build', async () => {
  checkTools()
  await ensureNodeModules()
  if (bpfPrograms.every(found)) await step('BPF objects', 'bpf/build.sh', [])
  await ensureBuilt({ force: true })
})
