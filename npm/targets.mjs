// The platforms that faithd is built for, and how each build differs from the others.

/** @typedef {'linux-x64-gnu' | 'linux-x64-musl' | 'linux-arm64-gnu' | 'linux-arm64-musl'} Platform */
/**
 * @typedef {object} Target
 * @property {Platform} platform as npm's packages and the addon's file name it
 * @property {string} triple as rustc names it
 * @property {string} [glibc] the oldest glibc that the addon must load on; none for musl
 * @property {'x64' | 'arm64'} cpu as npm names it
 * @property {'glibc' | 'musl'} libc as npm names it
 */

/** Node 20 needs glibc 2.28 itself. */
const glibc = '2.28'

/** @type {readonly Target[]} */
export const targets = [
  {
    platform: 'linux-x64-gnu',
    triple: 'x86_64-unknown-linux-gnu',
    glibc,
    cpu: 'x64',
    libc: 'glibc',
  },
  {
    platform: 'linux-x64-musl',
    triple: 'x86_64-unknown-linux-musl',
    cpu: 'x64',
    libc: 'musl',
  },
  {
    platform: 'linux-arm64-gnu',
    triple: 'aarch64-unknown-linux-gnu',
    glibc,
    cpu: 'arm64',
    libc: 'glibc',
  },
  {
    platform: 'linux-arm64-musl',
    triple: 'aarch64-unknown-linux-musl',
    cpu: 'arm64',
    libc: 'musl',
  },
]

/** The file of a target's addon. @param {Target} target */
export const addonOf = ({ platform }) => `faithd.${platform}.node`
