/** Shows the rules in force, and tests them. */
import { isIPv4, isIPv6 } from 'node:net'
import type { AccessLists, AccessTest, Endpoint } from '../control/schemas.js'
import { PROTOCOLS } from './command-options.js'
import { endpointText } from './endpoint.js'
import { CommandLineError } from './parse.js'
import { placeOf, type Rule, ruleText } from './rule.js'
import { facts, table, wrap } from './table.js'
import { choiceOf, type Run, show } from './task.js'

/** The port that a test is about if none is given. */
const USUAL_PORT = 443
/** The exit code of a connection that would be denied. */
const DENIED = 1

export const showRules: Run = async ({ daemon, given }) => {
  const wanted = given.text('interface')
  return show(await daemon.get<AccessLists>('/v1/access-lists'), ({ accessLists }, width) => {
    const lists = accessLists.filter((list) => wanted === undefined || list.interface === wanted)
    if (lists.length === 0) return ['no access lists']
    return apart(lists.map((list) => listLines(list, width)))
  })
}

function listLines(list: AccessLists['accessLists'][number], width: number): string[] {
  const columns = [
    { title: 'RULE', value: ({ text }: Rule) => text },
    { title: 'PLACE', value: placeOf },
  ]
  const rules = list.rules.length === 0 ? [] : table(columns, list.rules, width - 2)
  const indented = [...rules, ...wrap(`otherwise: ${list.otherwise}`, width - 2)]
  return [
    `${list.interface}, relay ${list.relay}, ports ${list.ports}:`,
    ...indented.map((line) => `  ${line}`),
  ]
}

/** Joins blocks of lines, with an empty line between them. */
function apart(blocks: readonly (readonly string[])[]): string[] {
  return blocks.flatMap((block, index) => (index === 0 ? block : [''].concat(block)))
}

export const test: Run = async (task) => {
  const { daemon, given, words, command } = task
  const [client = '', destination = ''] = words
  if (!isIPv6(client)) {
    throw new CommandLineError(`'${client}' is not the IPv6 address of a client`, command)
  }
  const endpoint = readDestination(destination)
  if (endpoint === undefined) {
    throw new CommandLineError(
      `'${destination}' is no destination; write [64:ff9b::198.51.100.7]:443, 198.51.100.7:443, or an ` +
        'address alone',
      command,
    )
  }
  const { address, port } = endpoint
  const answer = await daemon.get<AccessTest[]>('/v1/access-lists/test', {
    client,
    destination: address,
    port,
    protocol: choiceOf(task, '--protocol', given.text('protocol'), PROTOCOLS),
  })
  const denied = answer.body.some(({ permitted }) => !permitted) || answer.body.length === 0
  return {
    ...show(answer, (tests, width) =>
      tests.length === 0
        ? [
            `no relay has port ${port} of ${address}: faithctl status lists their ports and prefixes`,
          ]
        : apart(tests.map((one) => testLines(one, width))),
    ),
    exitCode: denied ? DENIED : undefined,
  }
}

function testLines(one: AccessTest, width: number): string[] {
  const { rule, server, cause, localAddress } = one
  return [
    `${one.interface}, relay ${one.relay}: ${one.permitted ? 'permitted' : 'denied'}`,
    ...facts(
      [
        ['  server', server && endpointText(server)],
        ['  rule', rule === undefined ? 'none' : ruleText(rule)],
        ['  cause', cause],
        ['  connects from', localAddress],
        ['  reason', one.explanation],
      ],
      width,
    ),
  ]
}

/** Reads a destination: `[v6]:port`, `[v6]`, `v6`, `v4:port` or `v4`. */
export function readDestination(text: string): Endpoint | undefined {
  const [, bracketed, portBehindIt, plain = text, port] =
    /^\[([^\]]*)\](?::(\d+))?$|^([\d.]+):(\d+)$/.exec(text) ?? []
  const address = bracketed ?? plain
  const isLegal = bracketed === undefined ? isIPv4(address) || isIPv6(address) : isIPv6(address)
  const number = Number(portBehindIt ?? port ?? USUAL_PORT)
  if (!isLegal || number < 1 || number > 65_535) return undefined
  return { address, port: number }
}
