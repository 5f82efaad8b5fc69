/** Data connections that a gateway expects: once, of one client, for thirty seconds. */
import { mock } from 'node:test'
import test from 'ava'

import { EXPECTED_MS, Expectations } from '../cli/gateways/expectations.js'
import type { Expected } from '../cli/gateways/expectations.js'
import type { FaithRelayOptions, FaithRouteConnection } from '../index.js'
import type { RunningRelay } from '../cli/running-relay.js'

const client = '2001:db8:1::2'
const destination = '64:ff9b::c633:6402'

/** Expectations on relays that only note what is asked of them. */
function start() {
  const opened: Partial<FaithRelayOptions>[] = []
  const retired: RunningRelay[] = []
  const attempts = { attempts: 0 }
  const expectations = new Expectations({
    open: async (_of, options) => {
      opened.push(options)
      return { relay: { stats: () => attempts } } as unknown as RunningRelay
    },
    retire: async (relay) => void retired.push(relay),
    failed: () => undefined,
  })
  const expect = (port: number, from = client) =>
    expectations.add({ name: 'ftp', client: from, destination, port } as Expected)
  const dial = async (number: number, from = client) =>
    await opened[number]?.route?.({
      client: { address: from, port: 4000 },
    } as FaithRouteConnection)
  return { opened, retired, attempts, expect, dial }
}

/** Lets promises that are settled run their reactions. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
}

const accepted = { proceed: true, tag: 'ftp' }
const refused = { reject: 'refused' }

test.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
test.afterEach.always(() => mock.timers.reset())

test.serial('an expectation is for one connection of its client', async (t) => {
  const { opened, expect, dial } = start()
  await expect(5001).ready
  t.like(opened[0], { ports: [5001], address: destination })
  t.deepEqual(await dial(0, '2001:db8:1::3'), refused)
  t.deepEqual(await dial(0), accepted)
  t.deepEqual(await dial(0), refused)
})

test.serial('an expectation is over after thirty seconds, and not before', async (t) => {
  const { retired, expect, dial } = start()
  await expect(5001).ready
  await expect(5002).ready
  mock.timers.tick(EXPECTED_MS - 1)
  await settle()
  t.is(retired.length, 0)
  t.deepEqual(await dial(0), accepted)
  mock.timers.tick(1)
  await settle()
  t.is(retired.length, 2)
  t.deepEqual(await dial(1), refused)
})

test.serial('a connection that is being made is waited for', async (t) => {
  const { retired, attempts, expect } = start()
  const { ready, end } = expect(5001)
  await ready
  attempts.attempts = 1
  end()
  await settle()
  t.is(retired.length, 0)
  attempts.attempts = 0
  mock.timers.tick(1000)
  await settle()
  t.is(retired.length, 1)
})

test.serial('clients of one port share a relay, until none is expected', async (t) => {
  const { opened, retired, expect, dial } = start()
  const other = '2001:db8:1::3'
  const [one, two] = [expect(5001), expect(5001, other)]
  await Promise.all([one.ready, two.ready])
  t.is(opened.length, 1)
  one.end()
  await settle()
  t.is(retired.length, 0)
  t.deepEqual(await dial(0), refused)
  t.deepEqual(await dial(0, other), accepted)
  two.end()
  await settle()
  t.is(retired.length, 1)
  await expect(5001).ready
  t.is(opened.length, 2)
})
