/** Lists, makes and removes interfaces, and changes their prefixes. */
import { embed } from '../../index.js'
import { FaithError } from '../../lib/errors.js'
import type { Daemon } from '../daemon.js'
import { check, overlap } from '../check.js'
import { defaults } from '../configuration.js'
import { ports as portsKind } from '../kinds.js'
import type { RunningInterface } from '../running.js'
import { interfaceBody } from './interface-body.js'
import { ProblemError } from './problem.js'
import { route } from './route.js'
import { faithInterface, interfaces, interfaceToCreate, prefix } from './schemas.js'

export const listInterfaces = route({
  method: 'GET',
  path: '/v1/interfaces',
  summary: 'Show the interfaces and their relays',
  answer: interfaces,
  work: async ({ daemon }) => ({
    interfaces: await Promise.all([...daemon.interfaces].map(interfaceBody)),
  }),
})

export const makeInterface = route({
  method: 'POST',
  path: '/v1/interfaces',
  summary: 'Make an interface that lives until it is deleted or faithd ends',
  body: interfaceToCreate,
  answer: faithInterface,
  status: 201,
  problems: [403, 409],
  work: async ({ daemon }, { body }) => {
    const { name, prefixes, ports } = body
    const configuration = defaults()
    const [faith] = configuration.interface
    const [relay] = faith?.relay ?? []
    if (faith === undefined || relay === undefined) throw new Error('the defaults have a relay')
    Object.assign(faith, { name, prefixes })
    relay.ports = portsOf(ports)
    const checked = await check(configuration, () => ({}))
    return await interfaceBody(await daemon.makeInterface(checked))
  },
})

export const removeInterface = route({
  method: 'DELETE',
  path: '/v1/interfaces/{name}',
  summary: 'Remove an interface that was made over the control socket; its sessions are drained',
  status: 204,
  problems: [404, 409],
  work: async ({ daemon }, { at: { name = '' } }) => {
    const running = interfaceOf(daemon, name)
    if (running.maker === 'configuration') {
      throw new ProblemError(409, `${name} is of the configuration of faithd`, {
        hint: 'take it out of the file, and reload',
      })
    }
    await daemon.change(() => daemon.interfaces.remove(running))
  },
})

export const addPrefix = route({
  method: 'POST',
  path: '/v1/interfaces/{name}/prefixes',
  summary: 'Capture a prefix too, until it is deleted or the next reload',
  body: prefix,
  answer: prefix,
  status: 201,
  problems: [403, 404, 409],
  work: async ({ daemon }, { at: { name = '' }, body }) => {
    const running = interfaceOf(daemon, name)
    await daemon.change(async () => {
      await running.faith.prefixes.add(body.prefix).catch((error: unknown) => {
        throw conflictOf(error, running, body.prefix)
      })
      notePrefixes(running)
    })
    return body
  },
})

export const deletePrefix = route({
  method: 'DELETE',
  path: '/v1/interfaces/{name}/prefixes/{prefix}',
  summary: 'Capture a prefix no longer, until the next reload; its sessions get no further',
  status: 204,
  problems: [404, 422],
  work: async ({ daemon }, { at: { name = '', prefix: given = '' } }) => {
    const running = interfaceOf(daemon, name)
    await daemon.change(async () => {
      await running.faith.prefixes.delete(given)
      notePrefixes(running)
      daemon.tellEmpty(running)
    })
  },
})

/** Gives the error of a prefix that stands against another of the interface. One of a malformed prefix stays as it is. */
function conflictOf(error: unknown, { faith }: RunningInterface, given: string): unknown {
  if (!(error instanceof FaithError) || error.code !== 'ERR_FAITH_PREFIX') return error
  if (!isPrefix(given) || ![...faith.prefixes].some((one) => overlap(one, given))) return error
  return new ProblemError(409, `${faith.name}: ${error.message}`)
}

function isPrefix(text: string): boolean {
  try {
    embed('192.0.2.1', text)
    return true
  } catch {
    return false
  }
}

/** Has a reload compare the file with the prefixes as they are now. */
function notePrefixes(running: RunningInterface): void {
  running.configuration = { ...running.configuration, prefixes: [...running.faith.prefixes] }
}

function interfaceOf({ interfaces: all }: Daemon, name: string): RunningInterface {
  const running = all.named(name)
  if (running !== undefined) return running
  const names = [...all].map(({ faith }) => faith.name).join(', ')
  throw new ProblemError(404, `there is no interface ${JSON.stringify(name)}; there are ${names}`)
}

function portsOf(given: string): string {
  try {
    return portsKind.read(given)
  } catch (error) {
    throw new ProblemError(422, `the body: ports: ${(error as Error).message}`)
  }
}
