/** Lists, makes and removes faith interfaces. */
import type { FaithInterfaceStatus } from '../control/schemas.js'
import { CommandLineError } from './parse.js'
import { table } from './table.js'
import { agreed, DECLINED, type Run, show, type Task } from './task.js'
import { counted, grouped } from './units.js'

interface Interfaces {
  interfaces: FaithInterfaceStatus[]
}

export const list: Run = async ({ daemon }) =>
  show(await daemon.get<Interfaces>('/v1/interfaces'), ({ interfaces }, width) =>
    interfaces.length === 0 ? ['no interfaces'] : table(COLUMNS, interfaces, width),
  )

const COLUMNS = [
  { title: 'NAME', value: ({ name }: FaithInterfaceStatus) => name },
  {
    title: 'PREFIXES',
    value: ({ prefixes }: FaithInterfaceStatus) => prefixes.join(','),
    elastic: true,
  },
  {
    title: 'PORTS',
    value: ({ relays }: FaithInterfaceStatus) =>
      relays
        .filter(({ retired }) => !retired)
        .map(({ ports }) => ports)
        .join(' | '),
    elastic: true,
  },
  {
    title: 'SESSIONS',
    align: 'right',
    value: (faith: FaithInterfaceStatus) => grouped(activeOn(faith)),
  },
  { title: 'STEERING', value: ({ steering }: FaithInterfaceStatus) => steering },
  {
    title: 'SHORTCUT',
    value: ({ shortcut }: FaithInterfaceStatus) => (shortcut ? 'on' : 'off'),
  },
  {
    title: 'MADE BY',
    value: ({ configured }: FaithInterfaceStatus) => (configured ? 'configuration' : 'faithctl'),
  },
] as const

export const create: Run = async (task) => {
  const {
    daemon,
    given,
    words: [name = ''],
    command,
  } = task
  const prefixes = given.all('prefix')
  if (prefixes.length === 0) {
    throw new CommandLineError(
      `${command}: --prefix missing: it names the addresses to capture`,
      command,
    )
  }
  const ports = given.text('ports')
  const answer = await daemon.post('/v1/interfaces', {
    name,
    prefixes,
    ...(ports === undefined ? {} : { ports }),
  })
  return show(answer, () => [
    `${name} captures ${prefixes.join(', ')}, ports ${ports ?? 'all'}`,
    'it lasts until faithd ends or faithctl destroys it; to have it at each start, write it into faithd.toml',
  ])
}

export const destroy: Run = async (task) => {
  const {
    daemon,
    words: [name = ''],
  } = task
  const faith = (await interfacesOf(task)).find((one) => one.name === name)
  // The daemon refuses to remove one that it lacks, or that is of its configuration.
  const active = faith === undefined || faith.configured ? 0 : activeOn(faith)
  if (
    active > 0 &&
    !(await agreed(task, `Remove ${name}, and end ${counted(active, 'session')}?`))
  ) {
    return DECLINED
  }
  const answer = await daemon.delete(`/v1/interfaces/${encodeURIComponent(name)}`)
  return show(answer, () => [`${name} is removed`])
}

/** Gives the interfaces of the daemon. */
export async function interfacesOf({ daemon }: Task): Promise<FaithInterfaceStatus[]> {
  return (await daemon.get<Interfaces>('/v1/interfaces')).body.interfaces
}

function activeOn({ relays }: FaithInterfaceStatus): number {
  return relays.reduce((sum, { sessions }) => sum + sessions.active, 0)
}
