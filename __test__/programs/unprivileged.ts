/**
 * Makes an interface and a listener, gives up its privileges for those of the user `daemon`, and tries what a program may
 * want then. It prints the outcomes as JSON on one line, and ends when its input does.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { Worker } from 'node:worker_threads'
import { createFaithInterface, type FaithError, setKeepfaith } from '../../index.js'
import { unwrap } from '../../lib/failure.js'
import { native } from '../../lib/native.js'

/** The code of the error of `work`, or `ok`. */
async function outcome(work: () => unknown): Promise<string> {
  try {
    await work()
    return 'ok'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

setKeepfaith(true)
await using faith = await createFaithInterface({ name: 'faith0', prefixes: ['3fff:1::/96'] })
const user = unwrap(native.findUser('daemon'))
unwrap(user?.dropPrivileges())

const gateway = process.argv[2] ?? ''
let hint: string | undefined
const all = await faith.listen({ ports: 'all' })
const outcomes = {
  execute: await outcome(() => once(spawn('/bin/true'), 'exit')),
  'become root': await outcome(() => process.setuid?.(0)),
  'read a file of root': await outcome(() => readFileSync('/etc/shadow')),
  'start a thread': await outcome(() => once(new Worker('', { eval: true }), 'exit')),
  'make an interface': await outcome(() =>
    createFaithInterface({ name: 'faith1' }).catch((error: FaithError) => {
      ;({ hint } = error)
      throw error
    }),
  ),
  'add a prefix': await outcome(() => faith.prefixes.add('3fff:2::/96')),
  'delete a prefix': await outcome(() => faith.prefixes.delete('3fff:1::/96')),
  'close a listener': await outcome(() => all.close()),
  'listen on port 22': await outcome(() => faith.listen({ port: 22 })),
  // Nothing listens there, so this asks for the privileged port of the private namespace only.
  'connect from port 20': await outcome(() =>
    faith.connect({ from: '3fff:2::1', fromPort: 20, to: gateway, port: 9 }),
  ),
  'switch keepfaith': await outcome(() => {
    setKeepfaith(false)
    setKeepfaith(true)
  }),
}
process.stdout.write(`${JSON.stringify({ outcomes, hint })}\n`)
await text(process.stdin)
