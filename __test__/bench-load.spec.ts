/** Checks what the benchmark's programs print, over the loopback interface. */
import { execFile, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import test from 'ava'

import { compile } from '../bench/compile.js'
import type { Programs } from '../bench/compile.js'

let programs: Programs

test.before(async () => {
  programs = await compile()
})

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const transfer = async (port: number) => {
  const order = ['--way', 'down', '--bytes', '1', '--times', '2']
  const where = ['--target', '127.0.0.1', '--port', String(port)]
  return await promisify(execFile)(programs.transfer, [...where, ...order])
}

test('a transfer that fails prints no beginning of a result', async (t) => {
  let served = 0
  // The first transfer succeeds.
  const server = createServer((socket) => {
    served += 1
    if (served === 1) socket.end('x')
    else socket.once('data', () => socket.resetAndDestroy())
  })
  const port = await listening(server)
  const failure = await t.throwsAsync<Error & { stdout: string; stderr: string }>(transfer(port))
  server.close()
  t.is(served, 2)
  t.is(failure?.stdout, '')
  t.is(failure?.stderr, 'transfer: the connection ended before all had come\n')
})

test('transfers print the time of each', async (t) => {
  const server = createServer((socket) => socket.end('x'))
  const port = await listening(server)
  const { stdout } = await transfer(port)
  server.close()
  const { times } = JSON.parse(stdout) as { times: number[] }
  t.is(times.length, 2)
  t.true(times.every((time) => time > 0))
})

test('the server of datagrams takes its ports on its own address alone', async (t) => {
  // Another server has one of the ports on another address, as a name server does in the benchmark.
  const sockets = [createSocket('udp4'), createSocket('udp4')] as const
  for (const socket of sockets) {
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
  }
  const [query, bulk] = sockets.map((socket) => String(socket.address().port))
  const own = ['--serve', query ?? '', '--bulk', bulk ?? '', '--address', '127.0.0.2']
  const server = spawn(programs.udpLoad, own, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => {
    server.kill()
    for (const socket of sockets) socket.close()
  })
  await once(server.stdout, 'data')
  const ask = ['--target', '127.0.0.2', '--query', query ?? '', '--mode', 'wait']
  await t.notThrowsAsync(promisify(execFile)(programs.udpLoad, ask))
})

test('a held session that is reset counts as one error', async (t) => {
  // Each session has one exchange when it is opened and one at the end. The server resets two of four at the end.
  let ended = 0
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      socket.write('x')
      socket.once('data', () => {
        ended += 1
        if (ended <= 2) socket.resetAndDestroy()
        else socket.write('x')
      })
    })
  })
  const port = await listening(server)
  const sizes = ['--http', '0', '--request', '1', '--reply', '1', '--connections', '4']
  const args = ['--mode', 'hold', '--targets', `127.0.0.1:${port}`, ...sizes]
  const load = spawn(programs.tcpLoad, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  load.stdin.end()
  const [held, result] = (await text(load.stdout)).split('\n')
  server.close()
  t.is(held, 'held 4')
  t.like(JSON.parse(result ?? ''), { alive: 2, errors: 2, reasons: { ECONNRESET: 2 } })
})
