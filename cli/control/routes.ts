/** Every route of the control interface. */
import { listAccessLists, testAccess } from './access-lists.js'
import { listClients } from './clients.js'
import { listDrops } from './drops.js'
import { readEvents } from './events.js'
import {
  addPrefix,
  deletePrefix,
  listInterfaces,
  makeInterface,
  removeInterface,
} from './interfaces.js'
import { METRICS_TYPE } from './metrics.js'
import { openapiDocument } from './openapi.js'
import { route, type Route } from './route.js'
import { document, metrics } from './schemas.js'
import { endSession, endSessions, listSessions, showSession } from './sessions.js'
import { putKeepfaith, putLog, reload, showKeepfaith, showLog } from './settings.js'
import { showStatus } from './status.js'

const describe = route({
  method: 'GET',
  path: '/v1/openapi.json',
  summary: 'Describe this interface by OpenAPI 3.1',
  answer: document,
  work: () => openapi(),
})

const scrape = route({
  method: 'GET',
  path: '/metrics',
  summary: 'Give the metrics, in the text format of Prometheus',
  answer: metrics,
  type: METRICS_TYPE,
  work: (context) => context.metrics(),
})

export const routes: readonly Route[] = [
  showStatus,
  listSessions,
  endSessions,
  showSession,
  endSession,
  listClients,
  listDrops,
  showKeepfaith,
  putKeepfaith,
  listInterfaces,
  makeInterface,
  removeInterface,
  addPrefix,
  deletePrefix,
  listAccessLists,
  testAccess,
  reload,
  showLog,
  putLog,
  readEvents,
  scrape,
  describe,
]

let made: Record<string, unknown> | undefined

/** The OpenAPI document of the routes. */
export function openapi(): Record<string, unknown> {
  made ??= openapiDocument(routes)
  return made
}
