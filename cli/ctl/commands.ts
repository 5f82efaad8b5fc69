/** Finds the code of a command. Each file is loaded only for its command, so that faithctl starts at once. */
import type { CommandName } from './command-table.js'
import type { Run } from './task.js'

const CODE: Readonly<Record<Exclude<CommandName, 'help'>, () => Promise<Run>>> = {
  status: async () => (await import('./status.js')).run,
  sessions: async () => (await import('./sessions.js')).run,
  session: async () => (await import('./session.js')).run,
  top: async () => (await import('./top/run.js')).run,
  clients: async () => (await import('./clients.js')).run,
  drops: async () => (await import('./drops.js')).run,
  events: async () => (await import('./events.js')).run,
  abort: async () => (await import('./abort.js')).run,
  keepfaith: async () => (await import('./keepfaith.js')).run,
  'interface list': async () => (await import('./interfaces.js')).list,
  'interface create': async () => (await import('./interfaces.js')).create,
  'interface destroy': async () => (await import('./interfaces.js')).destroy,
  'prefix list': async () => (await import('./prefixes.js')).list,
  'prefix add': async () => (await import('./prefixes.js')).add,
  'prefix delete': async () => (await import('./prefixes.js')).remove,
  'acl show': async () => (await import('./access.js')).showRules,
  'acl test': async () => (await import('./access.js')).test,
  reload: async () => (await import('./reload.js')).run,
  'log-level': async () => (await import('./log-level.js')).run,
  completion: async () => (await import('./completion.js')).run,
}

/** Loads the code of a command. */
export async function codeOf(name: Exclude<CommandName, 'help'>): Promise<Run> {
  return await CODE[name]()
}
