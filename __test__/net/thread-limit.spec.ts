/** A limit of threads (pids.max of a cgroup, TasksMax= of systemd): faithd reports it, or ends properly. */
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { captured, createLab, waitFor } from '../../lab/index.js'
import { faithdCommand, permitted, startFaithd } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'
import { Program } from '../programs/program.js'

const lab = await createLab()
const group = join('/sys/fs/cgroup/pids', `faith-${process.pid}`)

/** True if a cgroup of version 1's pids controller can be made here. */
const possible = (() => {
  try {
    mkdirSync(group)
    return existsSync(join(group, 'pids.max'))
  } catch {
    return false
  }
})()

test.after.always(async () => {
  await lab.close()
  if (possible) rmdirSync(group)
})

const limited = possible ? test.serial : test.serial.skip

/** Limits a process to its current number of threads. */
function limit(pid: number): void {
  writeFileSync(join(group, 'pids.max'), 'max')
  writeFileSync(join(group, 'cgroup.procs'), `${pid}`)
  writeFileSync(join(group, 'pids.max'), `${threads(pid).length}`)
}

const threads = (pid: number): string[] => readdirSync(`/proc/${pid}/task`)

limited(
  'at the limit, the access list is read again, sessions drain, and faithd ends properly',
  async (t) => {
    const file = join(lab.directory, 'access')
    writeFileSync(file, '::/0 permit 198.51.100.0/24\n')
    const [near, far] = [Sockets.of(lab.client), Sockets.of(lab.server)]
    const listening = await far.listen(7950)
    const faithd = await startFaithd(lab, ['-f', file, '--drain', '20'])
    limit(faithd.pid)
    const client = await near.connect(faithd.address(), 7950)
    const server = await listening.accept()

    writeFileSync(file, '::/0 permit 198.51.100.0/25\n')
    process.kill(faithd.pid, 'SIGHUP')
    await faithd.process.line(/SIGHUP: .* read again: 1 rule in force/)

    process.kill(faithd.pid, 'SIGTERM')
    await waitFor('the drain', () => faithd.log.some(({ msg }) => /draining/.test(msg)))
    client.says('still here')
    await server.hears('still here')
    client.ends()
    server.ends()
    t.deepEqual(await faithd.end(), { code: 0, signal: null })
    t.regex(faithd.log.at(-1)?.msg ?? '', /^ended: /)
  },
)

limited('started near the limit, faithd starts or says which limit to raise', async (t) => {
  const script = `echo $$ >${group}/cgroup.procs && exec "$@"`
  // Below this range Node itself ends; above it there are enough threads.
  for (let most = 12; most <= 20; most += 1) {
    writeFileSync(join(group, 'pids.max'), `${most}`)
    const args = [
      '-c',
      script,
      'sh',
      process.execPath,
      faithdCommand,
      '-k',
      '--no-control',
      ...permitted,
    ]
    const faithd = lab.router.spawn('sh', args)
    const said = await faithd.line(/captures|FATAL|abort/i)
    if (said.includes('captures')) {
      process.kill(faithd.pid, 'SIGTERM')
      t.deepEqual(await faithd.exited, { code: 0, signal: null }, `${most}`)
    } else if (said.includes('FATAL')) {
      t.regex(said, /: Resource temporarily unavailable .*pids\.max/)
      t.is((await faithd.exited).code, 69, `${most}`)
    }
  }
  t.is((await lab.router.run('ip', ['-o', 'link', 'show', 'type', 'tun'])).stdout, '')
})

test.serial('a few threads close a thousand listeners', async (t) => {
  const router = await Program.start(lab.router)
  await router.keepfaith(true)
  await using faith = await router.create()
  const ports = Array.from({ length: 1000 }, (_, index) => 1000 + index)
  const listeners = []
  for (const port of ports) listeners.push(await faith.listen({ port }, 'here'))
  const before = threads(router.process.pid).length
  let most = before
  let closed = false
  const closing = Promise.all(listeners.map((listener) => listener.close())).then(
    () => (closed = true),
  )
  await waitFor('all listeners to be closed', () => {
    most = Math.max(most, threads(router.process.pid).length)
    return closed
  })
  await closing
  t.true(most <= before + 4, `${before}, then ${most}`)
  const client = await Program.start(lab.client)
  await t.throwsAsync(client.dial(captured(), 1000), { code: 'ECONNREFUSED' })
})
