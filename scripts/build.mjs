// Builds everything and nothing else: the native addon, the TypeScript, and the sk_lookup object where
// clang is there. (Without clang the object that is checked in is the one that is used.)
import { found, bpfPrograms } from './debian.mjs'
import { checkTools, ensureBuilt, ensureNodeModules } from './prepare.mjs'
import { runScript, step } from './steps.mjs'

await runScript('build', async () => {
  checkTools()
  await ensureNodeModules()
  if (bpfPrograms.every(found)) await step('sk_lookup object', 'bpf/build.sh', [])
  await ensureBuilt({ force: true })
})
