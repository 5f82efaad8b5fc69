/**
 * Opens a DNS server on a faith interface, and obeys the lines of standard input. Prints a line of JSON for each: its
 * result, or `{ code, message }` of its error.
 *
 *   dns64-server.ts '{"upstreams":[{"address":"198.51.100.2"}]}'
 *
 * | line | work |
 * |---|---|
 * | `open` | opens the server, and gives its addresses |
 * | `open-aborted` | opens it with a signal that is aborted |
 * | `relay` | opens a relay |
 * | `stop` | has the relay take no more connections |
 * | `end` | closes the relay |
 * | `update JSON` | changes settings |
 * | `prefix PREFIX` | adds a prefix |
 * | `asked` | gives the queries about the program's own names |
 * | `failures` | gives the errors of these |
 * | `read FILE` | reads a file, or a pipe to its end, while no other JavaScript runs |
 * | `stats` | gives the statistics |
 * | `abort` | aborts the server's signal, and gives the event that follows |
 * | `close` | closes the server |
 * | `finish` | closes the interface |
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  createFaithInterface,
  type FaithDns64,
  type FaithDns64Options,
  type FaithDns64Settings,
  type FaithError,
  type FaithRelay,
  type FaithResolve,
  setKeepfaith,
} from '../../index.js'

/** With `own`, names below it are the program's. */
const { own, ...options } = JSON.parse(process.argv[2] ?? '{}') as FaithDns64Options & {
  own?: string
}
const asked: string[] = []
const failures: string[] = []

/** Answers by the first label of the name. */
const resolve: FaithResolve = ({ name, type, client, signal }) => {
  asked.push(`${name} ${type} ${client}`)
  const [label = ''] = name.split('.')
  if (label === 'gone') return null
  if (label === 'refused') return 'REFUSED'
  if (label === 'throws') throw new Error('as told')
  if (label === 'pass') return undefined
  if (label === 'slow') {
    return new Promise((done) => signal.addEventListener('abort', () => done(['192.0.2.1'])))
  }
  return Promise.resolve({ addresses: ['198.51.100.2', '192.0.2.1'], ttl: 7 })
}

setKeepfaith(true)
const faith = await createFaithInterface({ prefixes: ['2001:db8:64::/96'] })
const aborting = new AbortController()
let dns64: FaithDns64 | undefined
let relay: FaithRelay | undefined

async function obey(command: string, rest: string): Promise<unknown> {
  switch (command) {
    case 'open':
      dns64 = await faith.dns64({
        ...options,
        ...(own !== undefined && { resolve, resolveNames: [own], resolveTimeoutMs: 500 }),
        signal: aborting.signal,
      })
      dns64.on('error', ({ code, message }) => failures.push(`${code}: ${message}`))
      return dns64.addresses
    case 'open-aborted':
      return await faith.dns64({ ...options, signal: AbortSignal.abort() })
    case 'relay':
      relay = await faith.relay({ ports: 'all', accessList: '::/0 permit 198.51.100.0/24' })
      return null
    case 'stop':
      return (await relay?.stop()) ?? null
    case 'end':
      return (await relay?.close()) ?? null
    case 'update':
      return dns64?.update(JSON.parse(rest) as FaithDns64Settings) ?? null
    case 'prefix':
      return await faith.prefixes.add(rest)
    case 'asked':
      return asked
    case 'failures':
      return failures
    case 'read':
      return readFileSync(rest, 'utf8')
    case 'stats':
      return dns64?.stats()
    case 'abort': {
      const closed = dns64 && once(dns64, 'close')
      aborting.abort()
      return ((await closed) ?? []).length
    }
    case 'close':
      return (await dns64?.close()) ?? null
    case 'finish':
      return (await faith.close()) ?? null
    default:
      throw new Error(`no such command: ${command}`)
  }
}

console.log('"begun"')
for await (const line of createInterface({ input: process.stdin })) {
  const [, command = '', rest = ''] = /^(\S+) ?(.*)$/.exec(line) ?? []
  try {
    console.log(JSON.stringify((await obey(command, rest)) ?? null))
  } catch (error) {
    const { code, message } = error as FaithError
    console.log(JSON.stringify({ code, message }))
  }
}
