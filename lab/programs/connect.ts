// Dials once and reports the result: refused, unreachable, timed out, or connected and the next event.
import { connect } from 'node:net'

import type { ConnectResult } from '../programs.js'
import { options, print } from './dial.js'
import { Ending } from './ending.js'

// `watch`: stays connected until the other side sends or ends. `timeout` is in milliseconds.
const { address, port, watch, timeout } = options({ port: 80, watch: 0, timeout: 10_000 })

const start = performance.now()
const result: ConnectResult = { connected: false, milliseconds: 0 }
const socket = connect({ host: address, port })
const ending = new Ending(socket)
const timer = setTimeout(() => finish('ETIMEDOUT'), timeout)

let finished = false
function finish(outcome?: string): void {
  if (finished) return
  finished = true
  clearTimeout(timer)
  if (outcome !== undefined) result[result.connected ? 'afterwards' : 'code'] = outcome
  print(result)
  socket.destroy()
}

socket.on('connect', () => {
  result.connected = true
  result.milliseconds = performance.now() - start
  if (!watch) finish()
})
socket.on('data', () => finish('data'))
socket.prependListener('end', () => finish(ending.event))
socket.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (!result.connected) result.milliseconds = performance.now() - start
  finish(code ?? message)
})
