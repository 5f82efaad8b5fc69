// The folder of what outlives a run, and may outlive a checkout: tools, addons, and what cargo has compiled for checks.
import { join, resolve } from 'node:path'

import { root } from '../steps.mjs'

/** Where a thing is kept: in the folder that FAITHD_RELEASE_CACHE names, or else in target. @param {string[]} path */
export function kept(...path) {
  return join(resolve(root, process.env['FAITHD_RELEASE_CACHE'] || 'target'), ...path)
}
