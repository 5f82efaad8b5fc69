/**
 * Holds the code that depends on undocumented parts of Node's sockets and servers.
 *
 * Each function checks that a part exists before it uses it. If a release of Node lacks one, captured sockets and
 * attached servers do without it, and nothing fails; __test__/inside-node.spec.ts then names the missing part.
 */
/* oxlint-disable eslint/no-underscore-dangle -- Node names its internals so */
import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Server, Socket } from 'node:net'
import { devNull } from 'node:os'
import { Readable } from 'node:stream'
import type * as tls from 'node:tls'

/** The libuv stream of a socket, as `lib/net.js` of Node uses it. */
export interface Handle {
  fd: number
  reading: boolean
  onread: Onread
  readStart(): number
  readStop(): number
  close(callback?: () => void): void
}

type Onread = (this: Handle, ...data: unknown[]) => unknown
type Keyed = Record<symbol, unknown>

/** Gives the handle of a socket; `null` if it has none, or none any more. */
export function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as { _handle?: Handle | null })._handle ?? null
}

/**
 * Calls `changed` when a socket of a class gets another handle, or loses its handle. Node removes the handle when it
 * sends the socket to another process, and makes a new one when the socket connects again.
 */
export function watchHandles<T extends Socket>(
  prototype: T,
  changed: (socket: T, handle: Handle | null) => void,
): void {
  const { get, set } = Object.getOwnPropertyDescriptor(Socket.prototype, '_handle') ?? {}
  if (get === undefined || set === undefined) return
  Object.defineProperty(prototype, '_handle', {
    configurable: true,
    get,
    set(this: T, handle: Handle | null) {
      set.call(this, handle)
      changed(this, handle)
    },
  })
}

/** Makes a socket from a descriptor, like Node's constructor. */
type MakeSocket = (fd: number) => Socket

/**
 * Tells if this runtime makes sockets from descriptors. Node checks the descriptor, and refuses one that is not a
 * socket. A runtime that accepts /dev/null ignores the descriptor, so its sockets would be dead.
 */
export function adoptsDescriptors(make: MakeSocket = (fd) => new Socket({ fd })): boolean {
  const fd = openSync(devNull, 'r')
  try {
    make(fd)
      .on('error', () => undefined)
      .destroy()
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_INVALID_FD_TYPE'
  } finally {
    closeSync(fd)
  }
}

/** Makes sockets read into memory of this package. */
export interface Lender {
  /** The option `onread` of a new socket. */
  onread: { buffer: Uint8Array; callback(this: Socket, length: number): boolean }
  /** Prepares a new socket for borrowing the memory. */
  adopt(socket: Socket): void
}

/**
 * Lends memory to sockets while they read, so that they behave like other sockets otherwise.
 *
 * A socket with the option `onread` reads into the memory of that option. But its `pause()`, `resume()` and `read()`
 * differ from those of other sockets, and a socket that takes over its handle reads nothing. Two properties of the
 * socket cause that, and Node needs them only while it hands on the bytes of a read. So a socket has them only then:
 * its handle calls `readLent`, which lends them to the current owner of the handle.
 *
 * @param take - takes the first `length` bytes of `memory`, which a socket has read; gives `true` if the socket wants
 * more
 */
export function lender(
  memory: Uint8Array,
  take: (socket: Socket, length: number) => boolean,
): Lender | undefined {
  const bare = new Socket()
  const buffer = keyOf(bare, 'kBuffer')
  const callback = keyOf(bare, 'kBufferCb')
  if (buffer === undefined || callback === undefined) return undefined
  const inner = Symbol('onread')
  let owner: symbol | undefined

  function taken(this: Socket, length: number): boolean {
    if (owner !== undefined) keyed(this)[buffer as symbol] = null
    return take(this, length)
  }

  function readLent(this: Handle, ...data: unknown[]): unknown {
    const handle = keyed(this)
    const onread = handle[inner] as Onread
    const socket = handle[owner as symbol] as Keyed | undefined
    // The current owner may not be a socket, or may have memory of its own.
    if (socket?.[buffer as symbol] !== null) return onread.apply(this, data)
    socket[buffer as symbol] = memory
    socket[callback as symbol] ??= taken
    try {
      return onread.call(this)
    } finally {
      socket[buffer as symbol] = null
    }
  }

  // Node sets `onread` when a socket takes over the handle or gives it up, so the setter notices both.
  const property: PropertyDescriptor = {
    configurable: true,
    get(this: Handle) {
      return keyed(this)[inner]
    },
    set(this: Handle, onread: Onread) {
      keyed(this)[inner] = onread
    },
  }

  return {
    onread: { buffer: memory, callback: taken },
    adopt(socket) {
      const handle = handleOf(socket)
      if (handle === null) return
      owner ??= keyOf(handle, 'owner_symbol')
      if (owner === undefined) return
      keyed(handle)[inner] = handle.onread
      handle.onread = readLent
      Object.defineProperty(handle, 'onread', property)
      keyed(socket)[buffer] = null
    },
  }
}

/**
 * Tells if a method of streams is Node's own. Its source then names functions that only Node's modules can call. A
 * method that a tool has put in its place, to observe programs, has another source.
 */
function isNodes(method: unknown, mark: string): boolean {
  return typeof method === 'function' && Function.prototype.toString.call(method).includes(mark)
}

const { push } = Readable.prototype
const { read } = Socket.prototype
const areNodes = isNodes(push, 'readableAddChunk') && isNodes(read, 'tryReadStart')

/** Tells if a socket has Node's own `push` and `read`, so that no tool observes the calls. */
export function readsUnobserved(stream: Readable): boolean {
  return areNodes && stream.push === push && stream.read === read
}

/** Undocumented parts of Node's TLS sockets. */
interface TlsInside {
  _emitTLSError?: (this: Socket, error?: Error) => void
}

const TLS_ERROR = '_emitTLSError'

/**
 * Finds the TLS socket around a socket, if there is one.
 *
 * The TLS socket knows the inner socket, but not the reverse. Node adds an `error` handler to the inner socket, which
 * calls a method of the TLS socket. So this replaces that method, calls the handler, and restores the method.
 */
export function tlsAround(socket: Socket): Socket | undefined {
  const handlers = socket.listeners('error').filter((handler) => isNodes(handler, TLS_ERROR))
  if (handlers.length === 0) return undefined
  // The module is loaded already if the program has TLS sockets. Other programs need not load it.
  const { TLSSocket } = createRequire(import.meta.url)('node:tls') as typeof tls
  const inside = TLSSocket.prototype as unknown as TlsInside
  const method = inside[TLS_ERROR]
  if (typeof method !== 'function') return undefined
  const found: Socket[] = []
  try {
    inside[TLS_ERROR] = function find() {
      found.push(this)
    }
    for (const handler of handlers) handler()
  } finally {
    inside[TLS_ERROR] = method
  }
  return found[0]
}

/** Undocumented parts of Node's servers. */
interface ServerInside extends Server {
  _handle: unknown
  _connections: number
  _connectionKey: string | undefined
  _emitCloseIfDrained(): void
  /** In seconds. */
  keepAliveInitialDelay?: number
}

/** The servers that are closing and still have connections. */
const closing = new WeakSet<Server>()
/** The HTTP servers that check their connections for timeouts. */
const tracking = new WeakSet<Server>()
const TRACKING = 'setupConnectionsTracking'
let keys = 0

/** The servers that close as if they listened, with the number of attachments and a function that undoes it. */
const opened = new WeakMap<Server, { attachments: number; undo(): void }>()

/**
 * Makes a server close as if it listened, until the returned function is called and its last connection has ended.
 *
 * Node treats a server that does not listen as closed. It emits `close` each time the last connection ends, and
 * `close()` fails with `ERR_SERVER_NOT_RUNNING`. With this, the server emits `close` only after a call of `close()`.
 */
export function openToCaptured(server: Server): () => void {
  const inside = server as ServerInside
  const open = opened.get(server) ?? { attachments: 0, undo: actOpen(inside) }
  opened.set(server, open)
  open.attachments += 1
  let isAttached = true
  return () => {
    if (!isAttached) return
    isAttached = false
    open.attachments -= 1
    undoUnused(inside)
  }
}

function undoUnused(server: ServerInside): void {
  const open = opened.get(server)
  if (open === undefined || open.attachments > 0 || server._connections > 0) return
  opened.delete(server)
  open.undo()
}

function actOpen(server: ServerInside): () => void {
  const { close, _emitCloseIfDrained: emitCloseIfDrained } = server
  if (typeof emitCloseIfDrained !== 'function') return () => undefined
  // Processes that receive sockets of this server know it by this key.
  server._connectionKey ??= `faith:${(keys += 1)}`
  const undoClose = override(
    server,
    'close',
    function closeAttached(this: ServerInside, callback?: () => void) {
      closing.add(this)
      tracking.delete(this)
      if (this.listening || typeof callback !== 'function') return close.call(this, callback)
      this.once('close', () => callback())
      return close.call(this)
    },
  )
  const undoEmit = override(server, '_emitCloseIfDrained', function emitClose(this: ServerInside) {
    if (this.listening || closing.has(this)) {
      if (this._connections === 0) closing.delete(this)
      emitCloseIfDrained.call(this)
    }
    undoUnused(this)
  })
  return () => {
    undoClose()
    undoEmit()
  }
}

/** Tells if a server has reached its `maxConnections`. */
export function isFull(server: Server): boolean {
  const { maxConnections, _connections: connections } = server as ServerInside
  // On Node 20, 0 means no limit.
  if (typeof maxConnections !== 'number' || (maxConnections === 0 && !isSince(22))) return false
  return connections >= maxConnections
}

/** Counts a socket among the server's connections until it is destroyed, as if the server had accepted it. */
export function count(server: Server, socket: Socket): void {
  if (!server.listening && !tracking.has(server)) {
    tracking.add(server)
    const start = server.listeners('listening').find(({ name }) => name === TRACKING)
    start?.call(server)
  }
  const inside = server as ServerInside
  // Node would not subtract a destroyed socket any more.
  if (typeof inside._connections !== 'number' || socket.destroyed) return
  inside._connections += 1
  const counted = socket as Socket & { server: Server; _server: Server }
  counted.server = server
  counted._server = server
}

function isSince(major: number): boolean {
  return Number.parseInt(process.versions.node, 10) >= major
}

/** Overrides a method of an object. The returned function undoes that, unless other code has overridden it again. */
function override(object: object, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(object, name)
  Object.defineProperty(object, name, { value, configurable: true, writable: true })
  return () => {
    if (Reflect.get(object, name) !== value) return
    Reflect.deleteProperty(object, name)
    if (before !== undefined) Object.defineProperty(object, name, before)
  }
}

function keyed(object: object): Keyed {
  return object as Keyed
}

function keyOf(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((key) => key.description === description)
}
