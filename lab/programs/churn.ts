// Opens short sessions with an echo server, one after the other on each of `concurrency` lanes.
import { Tally, dial, options, print } from './dial.js'
import { Reader } from './stream.js'

const { count, concurrency, ...target } = options({ port: 7, count: 20_000, concurrency: 64 })
const start = performance.now()
const errors = new Tally()
let begun = 0
let done = 0

async function session(number: number): Promise<void> {
  const socket = await dial(target)
  const reader = new Reader(socket)
  socket.end(`session ${number}\n`)
  const answer = await reader.line()
  const rest = await reader.hash()
  socket.destroy()
  if (answer !== `session ${number}` || rest.bytes > 0) throw new Error('wrong answer')
}

async function lane(): Promise<void> {
  while (begun < count) {
    begun += 1
    try {
      await session(begun)
      done += 1
    } catch (error) {
      errors.add(error)
    }
  }
}

await Promise.all(Array.from({ length: concurrency }, lane))
print({ count, done, errors: errors.counts, seconds: (performance.now() - start) / 1000 })
