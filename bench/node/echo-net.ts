// Runs an echo over plain servers: `echo-net PORT…`.
import { createServer } from 'node:net'

import { echo } from './echo.js'

for (const port of process.argv.slice(2).map(Number)) {
  createServer({ allowHalfOpen: true }, echo).listen({ port, host: '::', backlog: 4096 })
}
