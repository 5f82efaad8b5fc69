import { spawnSync } from 'node:child_process'
import test from 'ava'
import { Hangups } from '../cli/signals.js'

/** Work that ends when the test says so. */
class Work {
  begun = 0
  #finish: (() => void) | undefined

  readonly run = (): Promise<void> => {
    this.begun += 1
    return new Promise((resolve) => (this.#finish = resolve))
  }

  async finish(): Promise<void> {
    this.#finish?.()
    await new Promise(setImmediate)
  }
}

const unexpected = (error: unknown): never => {
  throw error
}

const hangUp = (): boolean => process.emit('SIGHUP', 'SIGHUP')

test.afterEach(() => process.removeAllListeners('SIGHUP'))

test.serial('an early SIGHUP is handled once its handler is set', async (t) => {
  const hangups = new Hangups(unexpected)
  hangUp()
  const work = new Work()
  hangups.answerBy(work.run)
  t.is(work.begun, 1)
  await work.finish()
  t.is(work.begun, 1)
})

test.serial('without a SIGHUP the handler is not called', (t) => {
  const work = new Work()
  new Hangups(unexpected).answerBy(work.run)
  t.is(work.begun, 0)
})

test.serial('SIGHUPs that come during the handler lead to one more call after it', async (t) => {
  const work = new Work()
  new Hangups(unexpected).answerBy(work.run)
  hangUp()
  hangUp()
  hangUp()
  t.is(work.begun, 1)
  await work.finish()
  t.is(work.begun, 2)
  await work.finish()
  t.is(work.begun, 2)
  hangUp()
  t.is(work.begun, 3)
})

test.serial('a handler that fails is reported, and answers later SIGHUPs', async (t) => {
  const errors: unknown[] = []
  let begun = 0
  const hangups = new Hangups((error) => errors.push(error))
  hangups.answerBy(async () => {
    begun += 1
    await new Promise(setImmediate)
    throw new Error(`as told, ${begun}`)
  })
  hangUp()
  hangUp() // comes during the first run
  while (errors.length < 2) await new Promise(setImmediate)
  hangUp()
  while (errors.length < 3) await new Promise(setImmediate)
  t.deepEqual(errors.map(String), ['Error: as told, 1', 'Error: as told, 2', 'Error: as told, 3'])
})

const built = (file: string): string => new URL(`../dist/${file}`, import.meta.url).href

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`a second ${signal} ends the process without waiting for the work at exit`, (t) => {
    const program = `
      import { onExit } from '${built('lib/at-exit.js')}'
      import { stopSignal } from '${built('cli/signals.js')}'
      onExit(() => console.log('waited'))
      setInterval(() => {}, 60_000)
      const stopped = stopSignal((signal) => console.log('again', signal))
      process.kill(process.pid, '${signal}')
      console.log(await stopped)
      process.kill(process.pid, '${signal}')`
    const args = ['--input-type=module', '-e', program]
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    t.deepEqual([status, stdout], [code, `${signal}\nagain ${signal}\n`])
  })
}
