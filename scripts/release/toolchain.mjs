// Cargo with the compiler and the linker of the release tools, and with nothing of the machine's own Rust.
import { delimiter } from 'node:path'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { root } from '../steps.mjs'
import { kept } from './kept.mjs'
import { libraryPath, toolPath } from './tools.mjs'

const rust = toolPath('rust', 'root/usr')
export const cargo = join(rust, 'bin/cargo')
export const zigbuild = toolPath('zig', 'python/cargo_zigbuild-0.24.1.data/scripts/cargo-zigbuild')
/** Builds Rust's standard library from its sources; Debian has none for musl. */
export const ownStd = ['-Zbuild-std=std,panic_unwind']

/**
 * The environment of cargo.
 *
 * @param {string} targetFolder where it builds
 * @returns {NodeJS.ProcessEnv}
 */
export function cargoEnvironment(targetFolder) {
  return {
    CARGO: cargo,
    RUSTC: join(rust, 'bin/rustc'),
    PATH: [join(rust, 'bin'), process.env['PATH']].join(delimiter),
    LD_LIBRARY_PATH: libraryPath('rust'),
    // `ownStd` is an option that stable compilers keep for nightly ones.
    RUSTC_BOOTSTRAP: '1',
    RUSTUP_TOOLCHAIN: undefined,
    RUSTFLAGS: undefined,
    RUSTC_WRAPPER: undefined,
    CARGO_BUILD_TARGET: undefined,
    CARGO_INCREMENTAL: '0',
    CARGO_TARGET_DIR: targetFolder,
    CARGO_ZIGBUILD_ZIG_PATH: toolPath('zig', 'python/ziglang/zig'),
    CARGO_ZIGBUILD_CACHE_DIR: join(targetFolder, 'zigbuild'),
    ZIG_GLOBAL_CACHE_DIR: join(targetFolder, 'zig'),
    ZIG_LOCAL_CACHE_DIR: join(targetFolder, 'zig'),
  }
}

/** Options that replace this machine's folders in the compiler's output, so that each machine gives the same bytes. */
export function samePaths() {
  const home = process.env['CARGO_HOME'] ?? join(homedir(), '.cargo')
  return [
    `--remap-path-prefix=${root.replace(/\/$/, '')}=/faithd`,
    `--remap-path-prefix=${rust}=/rust`,
    `--remap-path-prefix=${home}=/cargo`,
  ]
}

/**
 * The command that checks that everything compiles for a platform; it needs no linker. zig compiles the C code of ring.
 *
 * @param {string} triple
 * @returns {[string, ...string[]]}
 */
export function checkCommand(triple) {
  const environment = Object.entries(cargoEnvironment(kept('release-check')))
  const removed = environment.flatMap(([name, value]) => (value === undefined ? ['-u', name] : []))
  const added = environment.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  )
  const check = ['check', '--workspace', '--locked', '--target', triple]
  const std = triple.endsWith('-musl') ? ownStd : []
  return ['env', ...removed, ...added, zigbuild, ...check, ...std]
}
