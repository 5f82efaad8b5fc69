// `npm run demo`: installs and builds what is missing, then starts the lab (demo-lab.ts), in a user namespace when not
// run by root.
import { demoPrograms, ensurePrograms } from './debian.mjs'
import { inLab } from './namespaces.mjs'
import { checkTools, ensureBuilt, ensureNodeModules } from './prepare.mjs'
import { become, runScript } from './steps.mjs'

await runScript('demo', async () => {
  checkTools()
  await ensurePrograms(demoPrograms)
  const command = inLab([
    process.execPath,
    '--import',
    '@oxc-node/core/register',
    'scripts/demo-lab.ts',
  ])
  await ensureNodeModules()
  await ensureBuilt()
  return await become(command)
})
