/** faithd in a user namespace of its own, where no BPF program may be loaded. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'

import { addresses, captured } from '../../lab/index.js'
import { first } from '../fixtures/datagrams.js'
import type { Answer } from '../fixtures/datagrams.js'
import { faithdCommand, permitted } from '../fixtures/faithd.js'

const script = fileURLToPath(new URL('../programs/user-namespace.sh', import.meta.url))

test('pings and datagrams pass inside a user namespace', async (t) => {
  const to = [captured(), first]
  const plan = { steps: [{ to, send: 'who' }, echoOf(1232), echoOf(1472)] }
  const apart = ['-Urnm', '-pf', '--mount-proc', '--kill-child', '--', script]
  const faithd = [process.execPath, faithdCommand, '-k', '--no-control', ...permitted]
  const given = [addresses.server, `${first}`, JSON.stringify(plan), ...faithd]
  const { stdout } = await promisify(execFile)('unshare', [...apart, ...given], {
    timeout: 60_000,
  })
  t.regex(stdout, /2 packets transmitted, 2 received/)
  const answers = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Answer[]
  const [who, ...echoes] = answers
  t.regex(who?.data ?? '', /^198\.51\.100\.1 \d+$/)
  t.deepEqual(
    echoes.map(({ same }) => same),
    [true, true],
  )

  function echoOf(fill: number) {
    return { to, send: 'echo ', fill }
  }
})
