/**
 * All that this package knows of Node's insides: what Node's sockets and servers do and its documentation does not say.
 *
 * Everything here is looked for before it is used. Where a release of Node has it no longer, captured sockets and attached
 * servers do without, and nothing fails; __test__/inside-node.spec.ts then tells which part is missing.
 */
/* oxlint-disable eslint/no-underscore-dangle -- that is what Node calls its insides */
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

/** The handle of a socket; `null` where it has none, or none any more. */
export function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as { _handle?: Handle | null })._handle ?? null
}

/**
 * Calls `changed` when a socket of a class gets another handle, or none. Node takes away the handle of a socket that it
 * sends to another process, and makes a new one when a socket connects again.
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

/** Makes a socket of a descriptor, as Node's constructor does. */
type MakeSocket = (fd: number) => Socket

/**
 * Tells if this runtime makes sockets of descriptors. Node looks at a descriptor, and refuses one that is no socket. A
 * runtime that makes a socket of it all the same ignores it, and its sockets would be dead.
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

/** How sockets read into memory of ours. */
export interface Lender {
  /** The option `onread` of a new socket. */
  onread: { buffer: Uint8Array; callback(this: Socket, length: number): boolean }
  /** Makes the new socket one that is lent the memory. */
  adopt(socket: Socket): void
}

/**
 * Lends memory to sockets whenever they read, so that they are otherwise like all others.
 *
 * A socket with the option `onread` reads into the memory that the option names, but its `pause()`, `resume()` and
 * `read()` do more than those of other sockets, and a socket that takes over its handle reads nothing. All of that goes
 * by two properties of the socket, which Node needs only while it hands on what was read. So a socket has them only
 * then: its handle calls a function of ours, which lends them to the socket that the handle belongs to now.
 *
 * @param take - takes the first `length` bytes of `memory`, which a socket has read; gives `true` if the socket wants
 *   more
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
    // The next owner may be no socket, or have memory of its own.
    if (socket?.[buffer as symbol] !== null) return onread.apply(this, data)
    socket[buffer as symbol] = memory
    socket[callback as symbol] ??= taken
    try {
      return onread.call(this)
    } finally {
      socket[buffer as symbol] = null
    }
  }

  // A socket that takes over the handle, or gives it up, says so by setting this.
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
 * Tells if a method of streams is the one that Node made. Its source names functions that only Node's own modules can
 * call; a method that a tool puts in its place, to observe programs, has another source.
 */
function isNodes(method: unknown, mark: string): boolean {
  return typeof method === 'function' && Function.prototype.toString.call(method).includes(mark)
}

const { push } = Readable.prototype
const { read } = Socket.prototype
const areNodes = isNodes(push, 'readableAddChunk') && isNodes(read, 'tryReadStart')

/** Tells if a socket takes in chunks by Node's own methods, so that nothing observes the calls. */
export function readsUnobserved(stream: Readable): boolean {
  return areNodes && stream.push === push && stream.read === read
}

/** What Node's TLS sockets have beside what they show. */
interface TlsInside {
  _emitTLSError?: (this: Socket, error?: Error) => void
}

const TLS_ERROR = '_emitTLSError'

/**
 * Finds the TLS socket that encrypts for a socket, if there is one.
 *
 * Node tells it only one way: the TLS socket knows the other one. But it handles the errors of that one by a function that
 * calls a method of the TLS socket. So this puts another method in its place for as long as it calls the function.
 */
export function tlsAround(socket: Socket): Socket | undefined {
  const handlers = socket.listeners('error').filter((handler) => isNodes(handler, TLS_ERROR))
  if (handlers.length === 0) return undefined
  // Loaded already where there is such a socket; elsewhere nothing needs it.
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

/** What Node's servers have beside what they show. */
interface ServerInside extends Server {
  _handle: unknown
  _connections: number
  _connectionKey: string | undefined
  _emitCloseIfDrained(): void
  /** In seconds. */
  keepAliveInitialDelay?: number
}

/** The servers that were told to close and have connections yet. */
const closing = new WeakSet<Server>()
/** The HTTP servers that keep a list of their connections, and look through it for those that take too long. */
const tracking = new WeakSet<Server>()
const TRACKING = 'setupConnectionsTracking'
let keys = 0

/** Servers that close as if they listened: how many attachments want that, and how it is undone. */
const opened = new WeakMap<Server, { attachments: number; undo(): void }>()

/**
 * Has a server close as if it listened to what is captured for it, until it is told otherwise by what this returns and its
 * last connection has ended.
 *
 * Node takes a server that does not listen for a closed one. It emits `close` each time its last connection ends, and
 * gives the caller of `close()` an error: it was not running. This server emits `close` only after it was told to close.
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
  // Names the sockets of this server to the processes that they are sent to.
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

/** Tells if a server has as many connections as it takes. */
export function isFull(server: Server): boolean {
  const { maxConnections, _connections: connections } = server as ServerInside
  // Node 20 takes 0 for no limit.
  if (typeof maxConnections !== 'number' || (maxConnections === 0 && !isSince(22))) return false
  return connections >= maxConnections
}

/** Counts a socket for a server, until the socket is destroyed, as if the server had accepted it. */
export function count(server: Server, socket: Socket): void {
  if (!server.listening && !tracking.has(server)) {
    tracking.add(server)
    const start = server.listeners('listening').find(({ name }) => name === TRACKING)
    start?.call(server)
  }
  const inside = server as ServerInside
  // One that is destroyed would not be subtracted any more.
  if (typeof inside._connections !== 'number' || socket.destroyed) return
  inside._connections += 1
  const counted = socket as Socket & { server: Server; _server: Server }
  counted.server = server
  counted._server = server
}

function isSince(major: number): boolean {
  return Number.parseInt(process.versions.node, 10) >= major
}

/** Gives an object another method; what it returns undoes that, unless the method was replaced once more. */
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
