/** The first bytes of rsh name the port of the second connection, however they are split. */
import * as fc from 'fast-check'
import test from 'ava'
import { readErrorPort } from '../cli/gateways/rsh/error-port.js'

const read = (text: string) => readErrorPort(Buffer.from(text, 'latin1'))

test('digits and a NUL name a privileged port, or none', (t) => {
  t.deepEqual(read('1022\0root\0'), { port: 1022, length: 5 })
  t.deepEqual(read('512\0'), { port: 512, length: 4 })
  t.deepEqual(read('00900\0'), { port: 900, length: 6 })
  t.deepEqual(read('0\0root'), { port: 0, length: 2 })
  t.deepEqual(read('\0root'), { port: 0, length: 1 })
})

test('other bytes are malformed as soon as that is certain', (t) => {
  for (const text of ['x', '1x', '-1\0', ' 900\0', '511\0', '1024\0', '123456', '000900\0']) {
    t.is(read(text), 'malformed', JSON.stringify(text))
  }
  for (const text of ['', '1', '12345']) t.is(read(text), 'incomplete', JSON.stringify(text))
})

test('a beginning is incomplete until the NUL, and what follows does not matter', (t) => {
  const ports = fc.oneof(fc.constant(0), fc.integer({ min: 512, max: 1023 }))
  fc.assert(
    fc.property(ports, fc.uint8Array(), (port, rest) => {
      const named = Buffer.from(`${port}\0`)
      for (let end = 0; end < named.length; end += 1) {
        t.is(readErrorPort(named.subarray(0, end)), 'incomplete')
      }
      t.deepEqual(readErrorPort(Buffer.concat([named, rest])), { port, length: named.length })
    }),
  )
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void readErrorPort(Buffer.from(bytes))))
  t.pass()
})
