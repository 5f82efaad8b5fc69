/** The addon delivers captured connections in batches. A failure of one connection does not harm the others. */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { FaithSocket } from '../index.js'
import { FaithListener } from '../lib/listener.js'
import type { NativeConnection, NativeInterface, NativeRelayCallbacks } from '../lib/native.js'
import { FaithRelay } from '../lib/relay.js'

type Give = (batch: NativeConnection[]) => void

const directory = mkdtempSync(join(tmpdir(), 'faithd-batches-'))
test.after.always(() => rmSync(directory, { recursive: true, force: true }))

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A fake addon, and a function that gives connections to the object opened on it. */
function addon() {
  let given: Give | undefined
  const open = (onConnections?: Give): Promise<object> => {
    given = onConnections
    return Promise.resolve({ close: () => Promise.resolve() })
  }
  const faith = {
    name: 'faith0',
    listen: (_options: unknown, onConnections: Give) => open(onConnections),
    relay: (_options: unknown, { onConnections }: NativeRelayCallbacks) => open(onConnections),
  } as unknown as NativeInterface
  return { faith, give: (batch: NativeConnection[]): void => given?.(batch) }
}

const subjects = {
  listener: (faith: NativeInterface) =>
    FaithListener.open(faith, { ports: 'all' }, () => undefined),
  relay: (faith: NativeInterface) =>
    FaithRelay.open(faith, { ports: 'all', route: () => ({ socket: true }) }, () => undefined),
}

function connection(port: number, fd: number): NativeConnection {
  return {
    socket: { take: () => fd, close: () => closeSync(fd) },
    address: '64:ff9b::c633:6402',
    port,
    remoteAddress: '2001:db8:1::2',
    remotePort: 40_000 + port,
    prefix: '64:ff9b::/96',
    worker: 0,
  }
}

/** A descriptor that Node can make a socket of. */
function good(port: number): NativeConnection {
  const path = join(mkdtempSync(join(directory, 'pipe-')), 'fifo')
  execFileSync('mkfifo', [path])
  // Opens both ends, so that opening does not wait for a peer.
  return connection(port, openSync(path, constants.O_RDWR | constants.O_NONBLOCK))
}

/** A descriptor that Node cannot make a socket of. */
const bad = (): number => openSync(import.meta.filename, 'r')

for (const [name, open] of Object.entries(subjects)) {
  test.serial(
    `a ${name} closes and reports a descriptor that is not a socket, and delivers the next`,
    async (t) => {
      const { faith, give } = addon()
      const opened = await open(faith)
      const errors: NodeJS.ErrnoException[] = []
      const taken: FaithSocket[] = []
      t.teardown(() => taken.forEach((socket) => socket.destroy()))
      opened.on('error', (error: Error) => errors.push(error))
      opened.on('connection', (socket: FaithSocket) => taken.push(socket))
      await turn()
      const wrong = bad()
      give([connection(1, wrong), good(2)])
      await turn()
      t.throws(() => fstatSync(wrong), { code: 'EBADF' })
      t.deepEqual(
        taken.map(({ destination }) => destination.port),
        [2],
      )
      t.false(taken[0]?.destroyed)
      const code = 'ERR_INVALID_FD_TYPE'
      const expected = name === 'listener' ? [code] : ['ERR_FAITH_ROUTE', code]
      const [error, ...others] = errors
      const cause = error?.cause as NodeJS.ErrnoException | undefined
      t.deepEqual([error?.code, ...(cause ? [cause.code] : [])], expected)
      t.deepEqual(others, [])
      await opened.close()
    },
  )

  test.serial(`a handler of a ${name} that throws loses no other connection`, async (t) => {
    const { faith, give } = addon()
    const opened = await open(faith)
    const thrown: string[] = []
    process.setUncaughtExceptionCaptureCallback(({ message }) => void thrown.push(message))
    t.teardown(() => process.setUncaughtExceptionCaptureCallback(null))
    const taken: FaithSocket[] = []
    t.teardown(() => taken.forEach((socket) => socket.destroy()))
    opened.on('connection', (socket: FaithSocket) => {
      taken.push(socket)
      if (socket.destination.port !== 3) throw new Error(`as told, ${socket.destination.port}`)
    })
    await turn()
    const batch = [good(1), good(2), good(3)]
    // Calls from its own turn, like the addon.
    setImmediate(() => give(batch))
    await turn()
    await turn()
    t.deepEqual(thrown, ['as told, 1', 'as told, 2'])
    t.deepEqual(
      taken.map(({ destination }) => destination.port),
      [1, 2, 3],
    )
    await opened.close()
  })
}

test.serial('a connection that comes before its relay exists waits for the handler', async (t) => {
  const { faith, give } = addon()
  const slow = {
    ...faith,
    relay: async (...args: Parameters<NativeInterface['relay']>) => {
      const made = await faith.relay(...args)
      give([good(1)])
      await turn()
      await turn()
      return made
    },
  }
  const opened = await subjects.relay(slow as NativeInterface)
  const taken: FaithSocket[] = []
  t.teardown(() => taken.forEach((socket) => socket.destroy()))
  opened.on('connection', (socket: FaithSocket) => taken.push(socket))
  await turn()
  await turn()
  t.deepEqual(
    taken.map(({ destination }) => destination.port),
    [1],
  )
  await opened.close()
})
