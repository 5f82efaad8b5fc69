/** The OpenAPI document describes the control interface: schemathesis sends what it allows, and what it does not. */
import { existsSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { createLab } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { schemathesisFolder } from '../../scripts/pip.mjs'
import { startControlled } from '../fixtures/control.js'
import { root } from '../fixtures/documented.js'
import { run } from '../fixtures/run.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
})

test.after.always(() => lab.close())

/** Opens the control socket to loopback, because schemathesis speaks TCP alone. Gives the port. */
async function openToLoopback(path: string): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (near: Socket) => {
    const far = connect({ path, allowHalfOpen: true })
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) {
      socket.on('error', () => {
        near.destroy()
        far.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return (server.address() as AddressInfo).port
}

test('every answer is one that the document allows', async (t) => {
  t.true(existsSync(join(schemathesisFolder, 'schemathesis')), 'npm test -- lab installs it')
  const { faithd, control } = await startControlled(lab)
  const port = await openToLoopback(control.path)
  const options = {
    url: `http://127.0.0.1:${port}`,
    seed: '1',
    phases: 'coverage,fuzzing,stateful',
    'max-examples': '5',
    checks: 'all',
    warnings: 'off',
    // The document cannot say which prefixes overlap, or that one filter at least is needed.
    'exclude-checks': 'positive_data_acceptance',
    // This answer has no end.
    'exclude-path': '/v1/events',
  }
  const given = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const document = join(root, 'docs/openapi.json')
  const args = ['-m', 'schemathesis.cli', 'run', document, '--no-color', ...given]
  const env = { ...process.env, PYTHONPATH: schemathesisFolder }
  const { code, stdout, stderr } = await run('python3', args, { cwd: lab.directory, env })
  t.is(code, 0, `${stdout}${stderr}`)
  t.regex(stdout, /Tested: 2\d/)
  t.true(faithd.process.running)
  t.false(
    faithd.log.some(({ msg }) => msg.includes('bug in faithd') || msg.includes('    at ')),
    'no request finds a fault of faithd',
  )
})
