/** What an interface could not be created for is named by the system call that failed. */
import test from 'ava'
import type { FaithError } from '../../index.js'
import { descriptorsOf } from '../fixtures/descriptors.js'
import { Faith, Program } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab } = await stage()

/** What becomes of an interface for which the process may have descriptors below `limit` only. */
async function createWithin(program: Program, limit: number): Promise<Faith | FaithError> {
  const args = [`--pid=${program.process.pid}`, `--nofile=${limit}:${limit}`]
  const { code, stderr } = await lab.router.run('prlimit', args)
  if (code !== 0) throw new Error(stderr)
  return await program.create({ workers: 2 }).catch((error: unknown) => error as FaithError)
}

test('an interface for which there is a descriptor too few names the call that wanted it', async (t) => {
  await using program = await Program.start(lab.router)
  await program.keepfaith(true)
  // Once, so that whatever the process keeps is there.
  await (await program.create({ workers: 2 })).close()
  const calls = new Set<string>()
  const least = descriptorsOf(program.process.pid)
  let made = 0
  // A limit that was lowered is not raised again without a privilege.
  for (let limit = least + 80; limit >= least; limit -= 1) {
    const outcome = await createWithin(program, limit)
    if (outcome instanceof Faith) {
      made += 1
      await outcome.close()
    } else {
      t.is(outcome.code, 'EMFILE', outcome.message)
      calls.add(`${outcome.syscall}`)
    }
  }
  t.true(made > 0, 'there are enough at first')
  t.log([...calls])
  t.false(calls.has('clone'))
  for (const call of ['open', 'epoll_create1', 'socket', 'eventfd']) t.true(calls.has(call), call)
})
