/** Opening and closing again and again leaks neither descriptors nor memory. */
import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'
import { captured, waitFor } from '../../lab/index.js'
import { Program } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab, client } = await stage()
const MiB = 2 ** 20

/**
 * Uses one arena, and mmap(2) for large blocks, so that freed memory goes back. By default the C library has an arena
 * for each thread and keeps some unused megabytes, a different amount in each run.
 */
const givingBack = [
  'env',
  'MALLOC_ARENA_MAX=1',
  'MALLOC_MMAP_THRESHOLD_=65536',
  'MALLOC_TRIM_THRESHOLD_=131072',
]

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length
const tasks = (pid: number): number => readdirSync(`/proc/${pid}/task`).length

function resident(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

/** Runs the work three times, and compares the state after the last two runs with the state after the first. */
async function rounds(program: Program, many: () => Promise<void>) {
  const { pid } = program.process
  // The first run makes everything that a process makes once and keeps, such as the heap.
  await many()
  const before = {
    heap: await program.ask('memory'),
    descriptors: descriptors(pid),
    tasks: tasks(pid),
    resident: resident(pid),
  }
  const again = async (): Promise<number> => {
    await many()
    // Garbage is collected in rounds: a native object releases its resources only after the first.
    await program.ask('memory')
    return resident(pid)
  }
  // A leak shows in both runs. Pages that an allocator has not given back yet go in one of them.
  const after = Math.min(await again(), await again())
  // The last garbage may go only in the second collection. A leak remains after both.
  const held = Math.min(await program.ask('memory'), await program.ask('memory'))
  const heap = held - before.heap
  await waitFor('the descriptors to be closed', () => descriptors(pid) <= before.descriptors)
  await waitFor('the threads to end', () => tasks(pid) <= before.tasks)
  return { heap, resident: after - before.resident }
}

test.serial('three thousand listeners and relays leak nothing', async (t) => {
  await using program = await Program.start(lab.router, givingBack)
  await program.keepfaith(true)
  await using faith = await program.create()
  const grown = await rounds(program, async () => {
    for (let hundred = 0; hundred < 10; hundred += 1) {
      await program.ask('listenRounds', faith.id, 100)
    }
  })
  t.true(grown.heap < MiB / 2, `${grown.heap} bytes more in JavaScript`)
  t.true(grown.resident < 10 * MiB, `${grown.resident} bytes more in memory`)
  await faith.listen({ port: 80 }, 'here')
  t.like(await client.greeting(captured(), 80), { from: 'here' })
})

test.serial('two hundred interfaces leak nothing', async (t) => {
  await using program = await Program.start(lab.router)
  await program.keepfaith(true)
  const grown = await rounds(program, async () => {
    for (let ten = 0; ten < 7; ten += 1) await program.ask('createRounds', 10)
  })
  t.true(grown.heap < MiB / 2, `${grown.heap} bytes more in JavaScript`)
  t.true(grown.resident < 4 * MiB, `${grown.resident} bytes more in memory`)
  const { stdout } = await lab.router.run('ip', ['-o', 'link', 'show', 'type', 'tun'])
  t.is(stdout, '')
})
