/** A captured connection that cannot become a socket is closed and reported, and ends neither listener nor process. */
import { fstatSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import test from 'ava'
import { CapturedPlace } from './fixtures/places.js'

/** Gives the listener a connection whose descriptor is no socket. */
function giveUnusable(place: CapturedPlace): number {
  const fd = openSync('/dev/null', 'r')
  place.addon.give([
    {
      socket: { take: () => fd, close: () => undefined },
      address: '64:ff9b::c000:207',
      port: 80,
      remoteAddress: '2001:db8::1',
      remotePort: 40_000,
      prefix: '64:ff9b::/96',
      worker: 0,
    },
  ])
  return fd
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test.serial('without an `error` handler the first is a process warning', async (t) => {
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const place = await CapturedPlace.create()
  // Not `once()`, which would handle `error` too.
  const served = new Promise((resolve) => place.listener.on('connection', resolve))
  const descriptor = giveUnusable(place)
  t.throws(() => fstatSync(descriptor), { code: 'EBADF' })
  giveUnusable(place)
  const client = place.dial()
  const socket = (await served) as Socket
  while (warnings.length === 0) await turn()
  await turn()
  t.is(warnings.length, 1)
  t.is(warnings[0]?.name, 'FaithWarning')
  t.regex(warnings[0]?.message ?? '', /^a captured connection could not become a socket: /)
  socket.destroy()
  client.destroy()
  place.close()
})

test.serial('an `error` handler gets each of them, and an iteration goes on', async (t) => {
  const place = await CapturedPlace.create()
  const errors: Error[] = []
  place.listener.on('error', (error) => errors.push(error))
  const next = place.listener.connections().next()
  giveUnusable(place)
  giveUnusable(place)
  const client = place.dial()
  const { value: socket } = await next
  t.is(socket?.remoteAddress, '2001:db8::1')
  t.is(errors.length, 2)
  socket?.destroy()
  client.destroy()
  place.close()
})
