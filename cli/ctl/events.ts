/** Prints events of the daemon as they come: sessions that end, and connections that are refused. */
import { BlockList, isIP } from 'node:net'
import type { Event } from '../control/schemas.js'
import { FILTERS, PROTOCOLS } from './command-options.js'
import { endpointText } from './endpoint.js'
import { CommandLineError } from './parse.js'
import { printable } from './table.js'
import { choiceOf, DONE, numberOf, type Run, type Task } from './task.js'
import { bytes, counted, duration } from './units.js'

type SessionEvent = Extract<Event, { type: 'session' }>
type RefusedEvent = Extract<Event, { type: 'refused' }>

export const run: Run = async (task) => await print(task, () => true)

/** Prints the sessions that end, of those that the options choose. */
export async function follow(task: Task): Promise<number> {
  const chosen = chooser(task)
  return await print(
    task,
    (event) => event.type !== 'refused' && (event.type === 'lost' || chosen(event)),
  )
}

async function print(task: Task, wanted: (event: Event) => boolean): Promise<number> {
  const json = task.given.has('json')
  for await (const line of task.daemon.lines('/v1/events')) {
    const event = JSON.parse(line) as Event
    if (wanted(event)) process.stdout.write(`${json ? line : eventLine(event)}\n`)
  }
  return DONE
}

/** Options that choose events: an ended session has neither state nor age. */
const EVENT_FILTERS = new Set(['interface', 'client', 'destination', 'port', 'protocol', 'tag'])

function chooser(task: Task): (event: SessionEvent) => boolean {
  const { given, command } = task
  const unfit = given
    .names()
    .find(
      (name) =>
        (FILTERS.has(name) && !EVENT_FILTERS.has(name)) ||
        ['sort', 'limit', 'reverse', 'watch'].includes(name),
    )
  if (unfit !== undefined) {
    throw new CommandLineError(`'--${unfit}' does not go with --follow`, command)
  }
  const port = numberOf(task, 'port', 1, 65_535)
  const protocol = choiceOf(task, '--protocol', given.text('protocol'), PROTOCOLS)
  const client = network(task, 'client')
  const destination = network(task, 'destination')
  return ({ session }) =>
    fits(given.text('interface'), session.interface) &&
    fits(given.text('tag'), session.tag) &&
    fits(port, session.destination.port) &&
    fits(protocol, session.protocol) &&
    (client?.(session.client.address) ?? true) &&
    (destination === undefined ||
      destination(session.destination.address) ||
      (session.server !== undefined && destination(session.server.address)))
}

function fits<T>(wanted: T | undefined, actual: T): boolean {
  return wanted === undefined || wanted === actual
}

/** Reads an address or a prefix; gives a function that tells if an address is inside. */
function network(
  { given, command }: Task,
  name: string,
): ((address: string) => boolean) | undefined {
  const text = given.text(name)
  if (text === undefined) return undefined
  const [address = '', length] = text.split('/')
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  const bits = Number(length ?? (family === 'ipv6' ? 128 : 32))
  const list = new BlockList()
  try {
    list.addSubnet(address, bits, family)
  } catch {
    throw new CommandLineError(`--${name}: '${text}' is neither an address nor a prefix`, command)
  }
  return (one) => list.check(one, isIP(one) === 6 ? 'ipv6' : 'ipv4')
}

/** Writes an event as a line. */
function eventLine(event: Event): string {
  const time = event.at.slice(11, 19)
  if (event.type === 'lost') {
    return `${time} lost     ${counted(event.events, 'event')}: this reader was too slow`
  }
  return printable(`${time} ${event.type === 'session' ? endedText(event) : refusedText(event)}`)
}

function endedText({ session }: SessionEvent): string {
  const { id, client, destination, server, bytesUp, bytesDown, durationMs, reason, tag, name } =
    session
  return (
    `ended    ${id} ${endpointText(client)} to ${endpointText(server ?? destination)}: ` +
    `${bytes(bytesUp)} up, ${bytes(bytesDown)} down in ${duration(durationMs)}, ${reason}` +
    (name === undefined ? '' : `, name ${name}`) +
    (tag === undefined ? '' : ` (${tag})`)
  )
}

function refusedText({ refusal }: RefusedEvent): string {
  const { client, destination, server, explanation, rule } = refusal
  const by =
    rule === undefined
      ? ''
      : ` (${rule.text}${rule.file === undefined ? '' : `, ${rule.file}:${rule.line}`})`
  return `refused  ${endpointText(client)} to ${endpointText(server ?? destination)}: ${explanation}${by}`
}
