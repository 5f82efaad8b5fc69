/** Data of datagrams that a program sends. */
import { FaithError } from './errors.js'
import { isArray, itemsOf, show } from './option-reader.js'

/**
 * Data of a datagram: text is sent as UTF-8, and the items of an array one after the other, in one datagram.
 *
 * @group UDP
 */
export type FaithUdpData =
  string | NodeJS.ArrayBufferView | readonly (string | NodeJS.ArrayBufferView)[]

/** @internal Reads the data of a datagram. */
export function bytesOf(data: unknown): Uint8Array {
  if (isArray(data)) return Buffer.concat(itemsOf('udp.send: `data`', data).map(bytesOf))
  if (typeof data === 'string') return Buffer.from(data)
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
  const message = `udp.send: \`data\` must be a string, bytes or an array of these, got ${show(data)}`
  throw new FaithError('ERR_FAITH_ARGUMENT', message)
}

/** @internal The part of the data that `offset` and `length` name. */
export function partOf(bytes: Uint8Array, offset?: unknown, length?: unknown): Uint8Array {
  if (isCount(offset) && isCount(length) && offset + length <= bytes.byteLength) {
    return bytes.subarray(offset, offset + length)
  }
  const message = `udp.send: \`offset\` and \`length\` must be inside ${bytes.byteLength} bytes of data`
  throw new FaithError('ERR_FAITH_ARGUMENT', message)
}

function isCount(given: unknown): given is number {
  return typeof given === 'number' && Number.isInteger(given) && given >= 0
}
