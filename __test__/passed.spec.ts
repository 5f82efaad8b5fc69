import test from 'ava'
import { passedDescriptors } from '../cli/passed.js'

test('descriptors of sd_listen_fds(3) begin with 3, and the variables go', (t) => {
  const environment = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b', PATH: '/bin' }
  t.deepEqual(passedDescriptors(environment, 7), [3, 4])
  t.deepEqual(environment as object, { PATH: '/bin' })
})

for (const [what, environment] of [
  ['another process', { LISTEN_PID: '8', LISTEN_FDS: '1' }],
  ['no process', { LISTEN_FDS: '1' }],
  ['a malformed number', { LISTEN_PID: '7', LISTEN_FDS: '1x' }],
  ['no descriptor', { LISTEN_PID: '7', LISTEN_FDS: '0' }],
] as const) {
  test(`descriptors for ${what} are not taken`, (t) => {
    t.deepEqual(passedDescriptors({ ...environment }, 7), [])
  })
}
