/** splice(2) is refused by a seccomp filter or another policy: faithd copies bulk, and loses nothing. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { createLab, transfer } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, startWrapped } from '../fixtures/faithd.js'

const refusing = fileURLToPath(new URL('../programs/relay-without-splice.py', import.meta.url))
const size = 32 * 2 ** 20

let lab: Lab
test.before(async () => {
  lab = await createLab()
  await lab.server.peer()
})
test.after.always(() => lab.close())

for (const [which, error] of [
  ['all', 'EPERM'],
  ['all', 'EACCES'],
  ['all', 'ENOSYS'],
  ['drain', 'EPERM'],
  ['drain', 'ENOSYS'],
] as const) {
  const what = which === 'all' ? 'if splices fail' : 'if splices out of a pipe fail'
  test.serial(`${what} with ${error}, both directions carry bulk to the end`, async (t) => {
    const faithd = await startWrapped(lab, [refusing, which, error], permitted)
    const target = { address: faithd.address(), up: size, down: size }
    const { up, down } = await transfer(lab.client, target)
    t.like(up, { bytes: size, received: up.sent })
    t.like(down, { bytes: size, received: down.sent })
    t.like(await faithd.sessionTo(7000), { reason: 'closed' })
    // A filter that refuses splices out of a pipe refuses the probe, too.
    t.regex(await faithd.process.line(/splice/), /splice\(2\) is refused/)
    await faithd.stop()
  })
}
