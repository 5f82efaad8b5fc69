/**
 * npm's smtp-server at every address of faith0: at port 25, where clients may ask for TLS, and at 465, where they begin
 * with it. Of every message a line of JSON tells what was received, and whether the destination was forgotten after.
 */
import { createHash } from 'node:crypto'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import {
  createFaithInterface,
  destinationOf,
  setKeepfaith,
  type FaithSocketDestination,
} from '../../index.js'

/** A message, and what its session knows. */
export interface Message {
  bytes: number
  sha256: string
  from?: string
  to: string[]
  secure: boolean
  /** What was dialled, by the addresses that the session has. */
  destination?: FaithSocketDestination
  /** The same by the TLS socket, which the server shows when it is made. */
  bySocket?: FaithSocketDestination
}

/** A session that is over. */
export interface Closed {
  closed: true
  /** Whether its addresses are still somebody's. */
  known: boolean
}

function tell(what: Message | Closed): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

function settings(): SMTPServerOptions {
  const secured = new Map<string, FaithSocketDestination>()
  return {
    // Its own certificate does for clients that ask nobody about it; without a log it does not warn of that.
    logger: false,
    authOptional: true,
    // The lab has no resolver to wait for.
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
