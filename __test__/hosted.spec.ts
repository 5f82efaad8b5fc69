/** `npm run lint:hosted` finds faults in workflows and Dockerfiles. */
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { root } from '../scripts/steps.mjs'
import { temporary } from './fixtures/installed.js'

const workflow = `on: push
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - run: echo \${{ github.nonsense }}
`

const faulty = [
  ['x.yml', workflow, /x\.yml:6:23: property "nonsense" is not defined/],
  ['Dockerfile', 'FROM debian\n', /Dockerfile:1 DL3006 .*tag the version/],
] as const

for (const [name, text, fault] of faulty) {
  test(`a fault in ${name} is found`, (t) => {
    const folder = temporary('faithd-hosted-')
    t.teardown(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, name), text)
    const script = join(root, 'scripts/hosted.mjs')
    const args = [script, join(folder, name)]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    t.is(status, 1, stderr)
    t.regex(stdout + stderr, fault)
  })
}
