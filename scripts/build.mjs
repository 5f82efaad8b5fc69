// Builds the native addon, the TypeScript and, if clang is installed, the BPF objects. Without clang, the checked-in
// BPF objects are used.
import { found, bpfPrograms } from './debian.mjs'
import { checkTools, ensureBuilt, ensureNodeModules } from './prepare.mjs'
import { runScript, step } from './steps.mjs'

await runScript('build', async () => {
  checkTools()
  await ensureNodeModules()
  if (bpfPrograms.every(found)) await step('BPF objects', 'bpf/build.sh', [])
  await ensureBuilt({ force: true })
})
