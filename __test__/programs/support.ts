// Prints the result of checkSupport(), and what a second call leaves behind, for support.spec.ts.
import { readdirSync, readFileSync } from 'node:fs'
import { checkSupport, createFaithInterface, type FaithSupport } from '../../index.js'

export interface Found {
  support: FaithSupport
  /** Number of descriptors that the check left open. */
  descriptors: number
  /** Names of the threads that it left behind. */
  threads: string[]
  /** The way an interface of this process steers, or the reason why there is no interface. */
  steering: string
  /** True if the interface has a shortcut. */
  shortcut: boolean
}

const descriptors = () => readdirSync('/proc/self/fd').length
const threads = () =>
  readdirSync('/proc/self/task').map((thread) =>
    readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim(),
  )

async function made(): Promise<Pick<Found, 'steering' | 'shortcut'>> {
  try {
    await using faith = await createFaithInterface({ name: 'faith7', routes: false })
    const { steering, shortcut } = faith.stats()
    return { steering, shortcut }
  } catch (error) {
    return { steering: error instanceof Error ? error.message : String(error), shortcut: false }
  }
}

// Calls it once first: that opens what stays for the process, the pool of threads that wait for the kernel.
await checkSupport()
const before = { descriptors: descriptors(), threads: threads().length }
const support = await checkSupport()
const found: Found = {
  support,
  descriptors: descriptors() - before.descriptors,
  threads: threads().filter((name) => name.startsWith('faith')),
  ...(process.argv.includes('--steering')
    ? await made()
    : { steering: 'not asked', shortcut: false }),
}
process.stdout.write(`${JSON.stringify(found)}\n`)
