/** The commands of docs/control.md run as they stand, and print what is shown. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { problem } from '../../cli/control/schemas.js'
import { connect, createLab } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { privateRun } from '../fixtures/control.js'
import { root } from '../fixtures/documented.js'
import { permitted } from '../fixtures/faithd.js'

const guide = readFileSync(join(root, 'docs/control.md'), 'utf8')
const [shown] = guide.match(/(?<=^```json\n).*?(?=^```$)/ms) ?? []
const commands = Array.from(guide.matchAll(/^```sh\n(.*?)^```$/gms), ([, block = '']) =>
  // A command ends with a line that does not end in a backslash.
  Array.from(block.matchAll(/(?:.*\\\n)*.*\n/g), ([command]) => command.trim()),
).flat()

let lab: Lab
let faithd: LabProcess

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
  faithd = lab.router.spawn(...privateRun('faith0', '64:ff9b::/96', ...permitted))
  await faithd.line(/captures/)
})

test.after.always(() => lab.close())

const inside = (command: string): string[] => ['-m', '-t', `${faithd.pid}`, 'sh', '-c', command]

test('there are commands', (t) => {
  t.true(commands.length >= 11)
  t.true(commands.every((command) => command.startsWith('curl ')))
})

for (const command of commands.filter((one) => !one.includes('/v1/events'))) {
  test.serial(command.replaceAll(/\s*\\\n\s*/g, ' '), async (t) => {
    const { code, stdout, stderr } = await lab.router.run('nsenter', inside(command))
    t.is(code, 0, stderr)
    const body: unknown = stdout === '' ? undefined : JSON.parse(stdout)
    const { success } = problem.safeParse(body)
    t.is(success, command.includes('prot='), stdout)
    if (success) t.deepEqual(body, JSON.parse(shown ?? ''))
  })
}

for (const command of commands.filter((one) => one.includes('/v1/events'))) {
  test.serial(command, async (t) => {
    const curl = lab.router.spawn('nsenter', inside(`exec ${command} -v`))
    await curl.line(/^< HTTP\/1\.1 200/)
    await connect(lab.client, { address: '64:ff9b::198.51.100.2', port: 7 })
    t.regex(await curl.line(/^\{"type":"session"/), /"reason":"closed"/)
    await curl.stop('SIGTERM')
  })
}
