/** The folder of the control socket: it goes with the faithd that made it, and must be of a user that faithd trusts. */
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import ava from 'ava'

import { createLab, userArguments, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Control } from '../fixtures/control.js'
import { type Faithd, permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import { isMachineRoot } from '../../scripts/namespaces.mjs'

const test = ava.serial
/** Root of a user namespace of one user cannot become another, and gives nothing to one. */
const testOfRoot = isMachineRoot() ? ava.serial : ava.serial.skip
const [DAEMON, BIN] = [1, 2]

let lab: Lab
let count = 0

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

/** A path in a folder of its own, which does not exist yet. */
function freshPath(): string {
  count += 1
  return join(lab.directory, `folder${count}`, 'faithd.sock')
}

const start = (path: string, ...args: string[]): Promise<Faithd> =>
  startFaithd(lab, ['--control', path, '--drain', '0', ...permitted, ...args])
const refused = (path: string, ...args: string[]) =>
  runFaithd(lab, ['-k', '--control', path, ...permitted, ...args])
const answers = async (path: string) =>
  (await new Control(lab.router, path).get('/v1/keepfaith')).status === 200

const isShell = (child: string): boolean =>
  readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('faithd-removal')

/** The shell that removes the socket of a faithd which became another user. */
function shellOf({ pid }: Faithd): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  return Number(children.find((child) => child !== '' && isShell(child)))
}

/** With the user that the suite gives every faithd, if it does, and with one of the test's own. */
const users: [title: string, args: string[], test: typeof testOfRoot][] =
  userArguments.length > 0
    ? [['', [], test]]
    : [
        ['', [], test],
        [', as another user too', ['--user', 'daemon'], testOfRoot],
      ]

for (const [as, args, testAs] of users) {
  testAs(`a folder that faithd made is root’s, and goes with it${as}`, async (t) => {
    const path = freshPath()
    const faithd = await start(path, ...args)
    for (const file of [dirname(path), path]) t.is(statSync(file).uid, 0, file)
    t.is((statSync(dirname(path)).mode & 0o777).toString(8), '755')
    t.true(await answers(path))
    t.deepEqual(await faithd.stop(), { code: 0, signal: null })
    t.false(existsSync(dirname(path)))
  })

  testAs(`a folder that was there stays, and the socket goes${as}`, async (t) => {
    const path = freshPath()
    mkdirSync(dirname(path))
    const faithd = await start(path, ...args)
    t.deepEqual(await faithd.stop(), { code: 0, signal: null })
    t.deepEqual(readdirSync(dirname(path)), [])
  })

  testAs(`a second SIGTERM, which ends faithd at once, leaves neither${as}`, async (t) => {
    const path = freshPath()
    const faithd = await startFaithd(lab, ['--control', path, ...permitted, ...args])
    const client = lab.client.spawn('nc', ['-6', faithd.address(), '7'])
    client.stdin.write('hello\n')
    await client.line(/hello/)
    faithd.process.kill('SIGTERM')
    await faithd.process.line(/SIGTERM: no longer capturing/)
    faithd.process.kill('SIGTERM')
    t.deepEqual(await faithd.end(), { code: 143, signal: null })
    await waitFor('the folder to go', () => !existsSync(dirname(path)))
    await client.stop('SIGKILL')
    t.pass()
  })

  testAs(`a faithd that was killed leaves nothing that stops the next one${as}`, async (t) => {
    const path = freshPath()
    const killed = await start(path, ...args)
    await killed.process.stop('SIGKILL')
    const next = await start(path, ...args)
    t.true(await answers(path))
    t.deepEqual(await next.stop(), { code: 0, signal: null })
    t.false(existsSync(path))
  })
}

testOfRoot(
  'after SIGKILL of a faithd that became another user, socket and folder go',
  async (t) => {
    const path = freshPath()
    const faithd = await start(path, ...(userArguments.length > 0 ? [] : ['--user', 'daemon']))
    await faithd.process.stop('SIGKILL')
    await waitFor('the folder to go', () => !existsSync(dirname(path)))
    t.pass()
  },
)

testOfRoot(
  'a path is not taken while the socket of a killed faithd is being removed',
  async (t) => {
    const path = freshPath()
    const killed = await start(path, ...(userArguments.length > 0 ? [] : ['--user', 'daemon']))
    const shell = shellOf(killed) ?? t.fail('no shell')
    process.kill(Number(shell), 'SIGSTOP')
    await killed.process.stop('SIGKILL')
    const starting = start(path)
    await waitFor('the next faithd to ask at the path', async () => {
      const { stdout } = await lab.router.run('ss', ['-Hxl', 'src', path])
      return /LISTEN\s+1\b/.test(stdout)
    })
    process.kill(shell, 'SIGCONT')
    const next = await starting
    t.true(await answers(path))
    await next.stop()
    t.false(existsSync(dirname(path)))
  },
)

testOfRoot('a folder of another user is refused', async (t) => {
  const path = freshPath()
  mkdirSync(dirname(path))
  chownSync(dirname(path), BIN, BIN)
  const { code, stderr } = await refused(path)
  t.is(code, 78)
  t.true(stderr.includes(`${dirname(path)} belongs to the user bin, who could answer`), stderr)
  t.deepEqual(readdirSync(dirname(path)), [])
  t.is((await refused(path, '--user', 'daemon')).code, 78)
})

testOfRoot('a folder of the user that faithd becomes is not refused', async (t) => {
  const path = freshPath()
  mkdirSync(dirname(path))
  chownSync(dirname(path), DAEMON, DAEMON)
  const faithd = await start(path, ...(userArguments.length > 0 ? [] : ['--user', 'daemon']))
  t.true(await answers(path))
  await faithd.stop()
  t.deepEqual(readdirSync(dirname(path)), [])
})

const bind = 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])'

testOfRoot('a socket of another user is refused, dead or alive', async (t) => {
  const path = freshPath()
  mkdirSync(dirname(path))
  const refusedFor = async (why: string) => {
    chownSync(path, BIN, BIN)
    const { code, stderr } = await refused(path)
    t.is(code, 78)
    t.true(stderr.includes(`${path} belongs to the user bin, who could answer`), why)
    t.true(existsSync(path), why)
  }
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(path, resolve))
  await refusedFor('a program listens')
  await new Promise((resolve) => server.close(resolve))
  await lab.router.run('python3', ['-c', bind, path])
  await refusedFor('no program listens')
})
