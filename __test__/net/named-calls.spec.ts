/** The error of a failed create names the system call that failed. */
import test from 'ava'
import type { FaithError } from '../../index.js'
import { descriptorsOf } from '../fixtures/descriptors.js'
import { Faith, Program } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab } = await stage()

/** Creates an interface with descriptors below `limit` only, and returns it or the error. */
async function createWithin(program: Program, limit: number): Promise<Faith | FaithError> {
  const args = [`--pid=${program.process.pid}`, `--nofile=${limit}:${limit}`]
  const { code, stderr } = await lab.router.run('prlimit', args)
  if (code !== 0) throw new Error(stderr)
  return await program.create({ workers: 2 }).catch((error: unknown) => error as FaithError)
}

test('an interface that lacks one descriptor names the call that failed', async (t) => {
  await using program = await Program.start(lab.router)
  await program.keepfaith(true)
  // Creates one first, so that everything the process keeps exists.
  await (await program.create({ workers: 2 })).close()
  const calls = new Set<string>()
  const least = descriptorsOf(program.process.pid)
  let made = 0
  // Lowers the limit step by step: raising it again needs a privilege.
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
  t.true(made > 0, 'the first limits suffice')
  t.log([...calls])
  t.false(calls.has('clone'))
  for (const call of ['open', 'epoll_create1', 'socket', 'eventfd']) t.true(calls.has(call), call)
})
