/** SIGUSR1 and SIGUSR2, on which Node would open its inspector and end. SIGUSR1 with a file is in log-file.spec.ts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { type LogLine, permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import { LoggingFaithd, parseLines } from '../fixtures/logging-faithd.js'
import { Sockets } from '../fixtures/sockets.js'

const signals = fileURLToPath(new URL('../programs/signals.py', import.meta.url))

let lab: Lab

test.before(async () => {
  lab = await createLab()
})

test.after.always(() => lab.close())

test('SIGUSR1 tells that there is no file, SIGUSR2 the state; they open and end nothing', async (t) => {
  const faithd = await startFaithd(lab, permitted)
  const listening = await Sockets.of(lab.server).listen(7601, { greet: 'hello' })
  const near = await Sockets.of(lab.client).connect(faithd.address(), 7601)
  await near.hears('hello')
  const far = await listening.accept()
  const answer = async (signal: 'SIGUSR1' | 'SIGUSR2') => {
    faithd.process.kill(signal)
    return await waitFor('the answer', () =>
      faithd.log.find((line) => line.msg.startsWith(`${signal}: `)),
    )
  }
  const { msg } = await answer('SIGUSR1')
  t.is(msg, 'SIGUSR1: the log goes to stderr, so there is no file to open again')
  const told = await answer('SIGUSR2')
  t.is(told.msg, 'SIGUSR2: faith0 captures 64:ff9b::/96; 1 session active, 0 attempts under way')
  t.like(told.status, { pid: faithd.pid, keepfaith: true })
  t.is(told.status?.interfaces[0]?.relays[0]?.sessions.active, 1)
  t.deepEqual(told.status?.problems, [])
  t.is((await lab.router.run('ss', ['-Hltn'])).stdout, '', 'nothing listens on the router')
  near.says('still here')
  await far.hears('still here')
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
  t.false(faithd.process.stderr.includes('Debugger'))
})

test('in text, SIGUSR2 writes the lines of faithctl status, and what is wrong as a warning', async (t) => {
  const args = ['-k', '-i', 'told', '-P', '3fff:77::/96', '--max-sessions', '50']
  // Forwarding belongs to the router.
  await using own = await createLab()
  const faithd = await own.router.faithd([...args, ...permitted])
  await own.router.run('sysctl', ['-w', 'net.ipv6.conf.all.forwarding=0'])
  faithd.kill('SIGUSR2')
  await faithd.line(/WARN: SIGUSR2: problem: .*forwarding/)
  await faithd.line(/INFO: SIGUSR2: faithd \S+, pid \d+, up \d+/)
  await faithd.line(/INFO: SIGUSR2: {5}sessions +0 of 50 active, 0 attempts under way, 0 begun/)
  t.deepEqual(await faithd.stop('SIGTERM'), { code: 0, signal: null })
})

const isStatus = ({ status }: LogLine): boolean => status !== undefined

test('a storm of both leaves nothing behind that SIGTERM would wait for', async (t) => {
  await using own = await createLab()
  await own.server.echo({ port: 7 })
  const path = join(own.directory, 'storm.log')
  const log = ['--log-to', path, '--log-format', 'json']
  const faithd = await LoggingFaithd.start(own, log)
  const count = 500
  const storm = own.router.spawn('python3', [signals, `${faithd.process.pid}`])
  await faithd.sessions(count)
  // Ends itself after its last signals.
  storm.kill('SIGTERM')
  await storm.exited
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
  const lines = parseLines(readFileSync(path, 'utf8'))
  t.is(lines.filter(({ session }) => session !== undefined).length, count)
  t.true(lines.some(({ msg }) => msg === `SIGUSR1: ${path} is open again`))
  const end = lines.findIndex(({ msg }) => msg.startsWith('SIGTERM: '))
  t.true(lines.slice(0, end).some(isStatus))
  // One was under way, and one more answers all signals that came meanwhile.
  t.true(lines.slice(end).filter(isStatus).length <= 2)
})

test('a SIGUSR1 before faithd handles it leaves no inspector open', async (t) => {
  // Blocks the signal: it stays pending and reaches Node when Node is ready to open the inspector.
  const early = `
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.kill(os.getpid(), signal.SIGUSR1)
os.execvp(sys.argv[1], sys.argv[1:])`
  const wrap = ['python3', '-c', early]
  const { code, stderr } = await runFaithd(lab, ['-k', '-i', 'early', '-P', '3fff::/96'], wrap)
  t.true(stderr.includes('Debugger listening'), 'Node opened the inspector')
  t.is(code, 69)
  t.regex(
    stderr,
    /FATAL: a SIGUSR1 during the start opened Node's inspector; faithd closed it and stops/,
  )
  t.is((await lab.router.run('ip', ['link', 'show', 'early'])).stdout, '')
})
