/** Shows and changes what is not about one interface: keepfaith, the log, and the whole configuration. */
import { getKeepfaith } from '../../index.js'
import { ProblemError } from './problem.js'
import { route } from './route.js'
import { keepfaith, log, logChange, reloaded } from './schemas.js'

export const showKeepfaith = route({
  method: 'GET',
  path: '/v1/keepfaith',
  summary: 'Tell if faithd captures',
  answer: keepfaith,
  work: () => ({ on: getKeepfaith() }),
})

export const putKeepfaith = route({
  method: 'PUT',
  path: '/v1/keepfaith',
  summary: 'Turn capturing on or off, until the next reload',
  body: keepfaith,
  answer: keepfaith,
  work: async ({ daemon }, { body }) => {
    await daemon.setKeepfaith(body.on)
    return { on: getKeepfaith() }
  },
})

export const showLog = route({
  method: 'GET',
  path: '/v1/log',
  summary: 'Show the level and the format of the log',
  answer: log,
  work: ({ daemon }) => shownLog(daemon.configuration.log),
})

export const putLog = route({
  method: 'PUT',
  path: '/v1/log',
  summary: 'Change the level or the format of the log, until the next reload',
  body: logChange,
  answer: log,
  work: async ({ daemon }, { body }) => {
    await daemon.setLog(body)
    return shownLog(daemon.configuration.log)
  },
})

export const reload = route({
  method: 'POST',
  path: '/v1/reload',
  summary: 'Read the configuration file and the access lists again, as SIGHUP does',
  answer: reloaded,
  problems: [409, 422],
  work: async ({ daemon }) => {
    const hasLists = daemon.interfaces.relays.some(
      ({ configuration }) => configuration.acl.length > 0,
    )
    if (daemon.file === undefined && !hasLists) {
      throw new ProblemError(409, 'faithd runs without a file, so there is nothing to read again', {
        hint: 'start it with a configuration file, or name an access list file with -f',
      })
    }
    return await daemon.reload('control')
  },
})

function shownLog<L extends { level: unknown; format: unknown }>({ level, format }: L) {
  return { level, format } as Pick<L, 'level' | 'format'>
}
