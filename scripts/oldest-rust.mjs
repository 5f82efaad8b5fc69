// Checks the workspace with the Rust that `rust-version` of Cargo.toml names, the oldest that faithd promises to build
// with. Where that toolchain is not installed it says so, and in CI it fails.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { Failure, print, root, runScript, step } from './steps.mjs'

/** @param {string} program @param {...string} args */
const output = (program, ...args) => spawnSync(program, args, { encoding: 'utf8' }).stdout ?? ''

/**
 * The arguments that make cargo use a version of Rust, or undefined if it is not installed.
 *
 * @param {string} version such as 1.95
 */
function toolchain(version) {
  if (output('cargo', '--version').startsWith(`cargo ${version}.`)) return []
  const named = output('rustup', 'toolchain', 'list').split(/\s+/)
  const name = named.find(
    (each) => each.startsWith(`${version}.`) || each.startsWith(`${version}-`),
  )
  return name === undefined ? undefined : [`+${name}`]
}

await runScript('oldest-rust', async () => {
  const manifest = readFileSync(join(root, 'Cargo.toml'), 'utf8')
  const version = /^rust-version = "(.+)"$/m.exec(manifest)?.[1] ?? ''
  const chosen = toolchain(version)
  if (chosen === undefined) {
    const told = `Rust ${version} is not installed; rustup toolchain install ${version} --profile minimal`
    if (process.env['CI']) throw new Failure(told)
    print(`- did not look: ${told}`)
    return 0
  }
  const check = ['check', '--workspace', '--all-targets', '--locked']
  await step(`cargo check with Rust ${version}`, 'cargo', [...chosen, ...check])
  return 0
})
