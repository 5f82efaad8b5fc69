/**
 * npm's smtp-server at every address of faith0: at port 25, where clients may ask for TLS, and at port 465, where TLS
 * comes first. It prints a line of JSON for every message, and one when the session has closed, which tells if its
 * destination is still known.
 */
import { createHash } from 'node:crypto'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import {
  createFaithInterface,
  destinationOf,
  setKeepfaith,
  type FaithSocketDestination,
} from '../../index.js'

/** A message, and the session's data. */
export interface Message {
  bytes: number
  sha256: string
  from?: string
  to: string[]
  secure: boolean
  /** The destination, looked up by the session's addresses. */
  destination?: FaithSocketDestination
  /** The same, looked up by the TLS socket, which the server passes to a handler when it is made. */
  bySocket?: FaithSocketDestination
}

/** A session that has closed. */
export interface Closed {
  closed: true
  /** True if a destination is still known for its addresses. */
  known: boolean
}

function tell(what: Message | Closed): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

function settings(): SMTPServerOptions {
  const secured = new Map<string, FaithSocketDestination>()
  return {
    // Uses the server's own certificate, which suits clients that do not verify it. Without a log, it prints no warning
    // about that.
    logger: false,
    authOptional: true,
    // Skips reverse lookups: the lab has no resolver.
    disableReverseLookup: true,
    onSecure(socket, { id }, callback) {
      const destination = destinationOf(socket)
      if (destination) secured.set(id, destination)
      callback()
    },
    onData(stream, session, callback) {
      const hash = createHash('sha256')
      let bytes = 0
      stream.on('data', (chunk: Buffer) => {
        hash.update(chunk)
        bytes += chunk.length
      })
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        const destination = destinationOf(session)
        const bySocket = secured.get(session.id)
        tell({
          bytes,
          sha256: hash.digest('hex'),
          ...(mailFrom && { from: mailFrom.address }),
          to: rcptTo.map(({ address }) => address),
          secure: session.secure,
          ...(destination && { destination }),
          ...(bySocket && { bySocket }),
        })
        callback()
      })
    },
    onClose(session) {
      tell({ closed: true, known: destinationOf(session) !== undefined })
    },
  }
}

setKeepfaith(true)
const faith = await createFaithInterface()
const plain = await faith.listen({ port: 25 })
plain.attach(new SMTPServer(settings()))
const secure = await faith.listen({ port: 465 })
secure.attach(new SMTPServer({ ...settings(), secure: true }))
process.stdout.write('ready\n')
