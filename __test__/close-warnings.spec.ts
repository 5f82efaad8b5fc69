/** Warnings about a close or a loss reach programs before the event that reports its end. */
import test from 'ava'
import type { FaithInterface } from '../index.js'
import type { NativeWarning } from '../lib/native.js'
import { interfaceOver } from './fixtures/interfaces.js'

const unknown = { code: 'connections-unknown', message: 'the kernel does not list connections' }
const untold = { code: 'clients-untold', message: 'clients cannot be told' }

/** The events of an interface, in order. */
function events(faith: FaithInterface): string[] {
  const log: string[] = []
  faith.on('warning', ({ code }) => log.push(code))
  faith.on('error', ({ code }) => log.push(code))
  faith.on('close', () => log.push('close'))
  return log
}

test.serial('warnings about a close come before `close`, and none after', async (t) => {
  const addon = { warn: (_warnings: NativeWarning[]): void => undefined }
  const { faith, warn } = await interfaceOver({
    beforeResets: () => undefined,
    deliver: () => Promise.resolve(addon.warn([unknown])),
    // Emits the warning a turn later: the event loop may deliver it after the end of the close.
    close: () => Promise.resolve(void setImmediate(() => addon.warn([unknown]))),
  })
  addon.warn = warn
  const log = events(faith)
  const closed = new Promise<void>((resolve) => faith.once('close', resolve))
  await faith.close()
  await closed
  warn([unknown])
  t.deepEqual(log, ['connections-unknown', 'connections-unknown', 'close'])
})

test.serial('a loss still warns that clients were not told', async (t) => {
  const { faith, lose, warn } = await interfaceOver({
    deliver: () => Promise.resolve(),
    close: () => Promise.resolve(warn([untold])),
  })
  const log = events(faith)
  const closed = new Promise<void>((resolve) => faith.once('close', resolve))
  await new Promise(setImmediate)
  lose({ failed: true, code: 'ERR_FAITH_CLOSED', message: 'faith0 was deleted' } as never)
  await closed
  t.deepEqual(log, ['ERR_FAITH_CLOSED', 'clients-untold', 'close'])
})
