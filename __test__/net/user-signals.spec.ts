/** SIGUSR1 and SIGUSR2, on which Node would open its inspector and end. */
import test from 'ava'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
})

test.after.always(() => lab.close())

test('SIGUSR1 and SIGUSR2 log the totals so far, open nothing and end nothing', async (t) => {
  const faithd = await startFaithd(lab, permitted)
  const listening = await Sockets.of(lab.server).listen(7601, { greet: 'hello' })
  const near = await Sockets.of(lab.client).connect(faithd.address(), 7601)
  await near.hears('hello')
  const far = await listening.accept()
  for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
    faithd.process.kill(signal)
    const { msg } = await waitFor('the line of totals', () =>
      faithd.log.find((line) => line.msg.startsWith(signal)),
    )
    t.regex(
      msg,
      /: 1 session active, 0 attempts under way; so far 1 session, 0 bytes up, \d+ down; /,
    )
  }
  t.is((await lab.router.run('ss', ['-Hltn'])).stdout, '', 'nothing listens on the router')
  near.says('still here')
  await far.hears('still here')
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
  t.false(faithd.process.stderr.includes('Debugger'))
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
