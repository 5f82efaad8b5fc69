/** Connections to clients from addresses inside a prefix. */
import { isIPv6 } from 'node:net'
import { AbortError, onAbort } from './abort.js'
import { unwrap } from './failure.js'
import { type NativeInterface, native } from './native.js'
import { type OptionNames, OptionReader } from './option-reader.js'
import { CONNECT_OPTIONS, readConnectTimeout } from './server.js'
import { FaithSocket, type FaithSocketOptions, requireSockets } from './socket.js'

/**
 * Options of {@link FaithInterface.connect}.
 *
 * @group Listener and sockets
 */
export interface FaithConnectOptions extends Partial<FaithSocketOptions> {
  /** The address that the client sees: an IPv6 address inside a prefix of the interface, in any form. */
  from: string
  /** The port that the client sees, 1 to 65535. Default: the kernel chooses one. */
  fromPort?: number
  /**
   * The client: a unicast IPv6 address without scope or brackets. It must not be inside a prefix of an interface of this
   * process, loopback, IPv4-mapped or link-local.
   */
  to: string
  /** The client's port, 1 to 65535. */
  port: number
  /** Longest time that the client may take to answer, in milliseconds. Default 10000. */
  connectTimeoutMs?: number
  /**
   * Aborting this signal ends the connecting: the promise is rejected with an `AbortError`. Afterwards the signal has no
   * effect. Default: none.
   */
  signal?: AbortSignal
}

const CALL = 'faith.connect'
const CONNECT: OptionNames<FaithConnectOptions> = {
  ...CONNECT_OPTIONS,
  from: true,
  fromPort: true,
  to: true,
  port: true,
  allowHalfOpen: true,
  pauseOnConnect: true,
  signal: true,
}
const PORT = { min: 1, max: 65_535 }

/** @internal Connects to a client. `giver` is the interface, which gives the socket to the program. */
export async function connect(
  faith: NativeInterface,
  giver: object,
  options: unknown,
): Promise<FaithSocket> {
  requireSockets(CALL)
  const { dial, socketOptions, signal } = readConnect(options)
  if (signal?.aborted) throw new AbortError(signal)
  const handle = new native.NativeSpliceHandle()
  const forget = signal && onAbort(signal, () => handle.stop())
  try {
    const made = await faith.dial(dial, handle)
    if (signal?.aborted) {
      if (!('failed' in made)) made.socket.close()
      throw new AbortError(signal)
    }
    return FaithSocket.adopt(unwrap(made), faith, giver, socketOptions)
  } finally {
    forget?.()
  }
}

function readConnect(options: unknown) {
  const read = new OptionReader(CALL, CONNECT, options)
  const fromPort = read.unchecked('fromPort') === undefined ? 0 : read.integer('fromPort', PORT)
  const dial = {
    from: readEnd(read, 'from'),
    fromPort,
    to: readEnd(read, 'to'),
    port: read.integer('port', PORT),
    ...readConnectTimeout(read),
  }
  const socketOptions = {
    allowHalfOpen: read.boolean('allowHalfOpen', true),
    pauseOnConnect: read.boolean('pauseOnConnect', false),
  }
  return { dial, socketOptions, signal: read.signal('signal') }
}

function readEnd<Name extends 'from' | 'to'>(read: OptionReader<Name>, name: Name): string {
  const address = read.string(name)
  if (isIPv6(address) && !address.includes('%')) return address
  throw read.refuse(name, 'an IPv6 address without a scope', address)
}
