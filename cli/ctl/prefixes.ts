/** Lists, adds and removes the prefixes of a faith interface. */
import type { FaithInterfaceStatus } from '../control/schemas.js'
import { interfacesOf } from './interfaces.js'
import { CommandLineError } from './parse.js'
import { table } from './table.js'
import { type Run, show, type Task } from './task.js'

export const list: Run = async ({ daemon, given }) => {
  const wanted = given.text('interface')
  const answer = await daemon.get<{ interfaces: FaithInterfaceStatus[] }>('/v1/interfaces')
  return show(answer, ({ interfaces }, width) => {
    const rows = interfaces
      .filter(({ name }) => wanted === undefined || name === wanted)
      .flatMap(({ name, prefixes }) => prefixes.map((prefix) => ({ name, prefix })))
    if (rows.length === 0) return ['no prefixes']
    const columns = [
      { title: 'INTERFACE', value: ({ name }: (typeof rows)[number]) => name },
      { title: 'PREFIX', value: ({ prefix }: (typeof rows)[number]) => prefix },
    ]
    return table(columns, rows, width)
  })
}

export const add: Run = async (task) => {
  const {
    daemon,
    words: [prefix = ''],
  } = task
  const name = await interfaceFor(task)
  const answer = await daemon.post(`/v1/interfaces/${encodeURIComponent(name)}/prefixes`, {
    prefix,
  })
  return show(answer, () => [`${name} captures ${prefix}`])
}

export const remove: Run = async (task) => {
  const {
    daemon,
    words: [prefix = ''],
  } = task
  const name = await interfaceFor(task, prefix)
  const path = `/v1/interfaces/${encodeURIComponent(name)}/prefixes/${encodeURIComponent(prefix)}`
  const shown = show(await daemon.delete(path), () => [`${name} no longer captures ${prefix}`])
  const left = (await interfacesOf(task)).find((one) => one.name === name)?.prefixes
  return left?.length === 0
    ? { ...shown, warning: `it was the last prefix of ${name}, which captures nothing now` }
    : shown
}

/** Gives the interface that the command is about: the one named, the one with the prefix, or the only one. */
async function interfaceFor(task: Task, prefix?: string): Promise<string> {
  const named = task.given.text('interface')
  if (named !== undefined) return named
  const all = await interfacesOf(task)
  const having = all.filter(({ prefixes }) => prefix !== undefined && prefixes.includes(prefix))
  const [only, other] = having.length > 0 ? having : all
  if (only !== undefined && other === undefined) return only.name
  const names = all.map(({ name }) => name).join(', ')
  throw new CommandLineError(
    only === undefined ? 'the daemon has no interface' : `name one of ${names} with --interface`,
    task.command,
  )
}
