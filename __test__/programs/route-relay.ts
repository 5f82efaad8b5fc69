/**
 * A relay on faith0 whose route follows a spec's orders. Its options are its first argument, as JSON. It reads a line
 * of JSON for each port, `{"port":80,"answer":{…}}`, and writes a line for every event:
 *
 *   {"event":"told","port":80}      {"event":"asked","id":…,"client":{…},"destination":{…}}
 *   {"event":"error","code":…}      {"event":"session",…}      {"event":"refused",…}      {"event":"closed"}
 *   {"event":"aborted","id":…,"destination":{…},"message":…}, when the signal of a connection is aborted
 */
import { createInterface } from 'node:readline'
import {
  createFaithInterface,
  setKeepfaith,
  type FaithRelaySettings,
  type FaithRouteVerdict,
} from '../../index.js'

/** The route's behaviour for connections to a port. */
export type Answer =
  /** It answers: at once, or when `decide` tells it to. */
  | { verdict?: FaithRouteVerdict; when?: 'at once' | 'told' }
  /** It throws, or returns a promise that rejects. */
  | { fail: 'throws' | 'rejects' }

/** The orders that the program understands. */
export type Order =
  { port: number; answer: Answer } | { port: number; decide: true } | { close: true }

/** Options in JSON; `listens` is true if the program has a handler for `error`. */
export type Settings = Omit<FaithRelaySettings, 'route'> & { listens?: boolean }

const { listens = true, ...options } = JSON.parse(process.argv[2] ?? '{}') as Settings
const answers = new Map<number, Answer>()
const waiting: { port: number; decide: () => void }[] = []

function say(event: string, more: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...more })}\n`)
}

function decide(
  port: number,
): FaithRouteVerdict | undefined | Promise<FaithRouteVerdict | undefined> {
  const answer = answers.get(port)
  if (answer === undefined) return undefined
  if ('fail' in answer) {
    if (answer.fail === 'rejects') return Promise.reject(new Error('as told'))
    throw new Error('as told')
  }
  const { verdict, when = 'at once' } = answer
  if (when === 'at once') return verdict
  return new Promise((resolve) => waiting.push({ port, decide: () => resolve(verdict) }))
}

setKeepfaith(true)
const faith = await createFaithInterface()
const relay = await faith.relay({
  ports: 'all',
  accessList: [{ action: 'permit', destination: '198.51.100.0/24' }],
  ...options,
  route: (connection) => {
    say('asked', connection)
    const { id, destination, signal } = connection
    signal.addEventListener('abort', () => {
      say('aborted', { id, destination, message: (signal.reason as Error).message })
    })
    return decide(connection.destination.port)
  },
})
relay.on('session', (session) => say('session', session))
relay.on('refused', (refusal) => say('refused', refusal))
relay.on('close', () => say('closed'))
if (listens) relay.on('error', ({ code, message }) => say('error', { code, message }))

createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as Order
  if ('close' in order) {
    void faith.close()
  } else if ('answer' in order) {
    answers.set(order.port, order.answer)
    say('told', { port: order.port })
  } else {
    for (const { port, decide: now } of waiting) if (port === order.port) now()
  }
})
say('ready')
