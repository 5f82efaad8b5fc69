/** Debian's telnet and telnetd through faithd: an interrupt reaches a program that floods, and each side's urgent mark. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { type Faithd, permitted, startFaithd } from '../fixtures/faithd.js'
import { inetd } from '../fixtures/inetd.js'
import { Watch } from '../fixtures/segments.js'

const MiB = 2 ** 20
const hello = Buffer.from('told hello').toString('hex')
const prompt = '\u001d'

/** The program that telnetd runs in place of login(1). It floods its terminal until it is interrupted. */
const shell = `#!/bin/sh
trap 'echo "was interrupted"' INT
echo "is ready"
while read -r word; do
  if [ "$word" = flood ]; then yes flooding; else echo "was told $word"; fi
done
`

let lab: Lab

test.before(async () => {
  lab = await createLab()
  const program = join(lab.directory, 'shell')
  writeFileSync(program, shell)
  chmodSync(program, 0o755)
  await inetd(lab, { 23: ['/usr/sbin/telnetd', 'telnetd', '-h', '-E', program] })
})

test.after.always(() => lab.close())

/** Runs telnet(1) through faithd, and waits for the program. */
async function telnet(faithd: Faithd): Promise<LabProcess> {
  const process = lab.client.spawn('inetutils-telnet', [faithd.address()])
  await shows(process, /is ready/)
  return process
}

/** Waits for this text in what the terminal shows, behind the first `after` characters. */
async function shows(terminal: LabProcess, text: RegExp, after = 0): Promise<void> {
  await waitFor(`the terminal to show ${text}`, () => text.test(terminal.stdout.slice(after)))
}

async function interrupts(t: ExecutionContext, faithd: Faithd): Promise<void> {
  const watch = await Watch.on(lab.client, 'eth0', 23)
  const urgent = (way: 'in' | 'out', after = 0) =>
    watch.sees(({ way: its, flags, at }) => its === way && flags.includes('U') && at > after)
  const terminal = await telnet(faithd)
  const types = (text: string) => terminal.stdin.write(text)

  types('flood\n')
  await waitFor('a flood', () => terminal.stdout.length > 2 * MiB)
  // Each line is typed once telnet has obeyed the one before: its command mode reads ahead.
  types(`${prompt}send synch\n`)
  await urgent('out')
  types(`${prompt}send ip\n`)
  await shows(terminal, /was interrupted/, MiB)
  const flooded = terminal.stdout.length
  types('hello\n')
  await shows(terminal, /was told hello/, flooded)
  const told = await watch.sees(({ way, data }) => way === 'in' && data.includes(hello))

  // The server discards its output and marks the place with an urgent byte. It types a ^O, too.
  types(`${prompt}send ao\n`)
  await urgent('in', told.at)
  types('goodbye\n')
  await shows(terminal, /was told \S*goodbye/, flooded)
  types(`${prompt}quit\n`)
  t.deepEqual(await terminal.exited, { code: 0, signal: null })
  await faithd.session(({ destination: { port }, bytesDown }) => port === 23 && bytesDown > 2 * MiB)
  await watch.stop()
}

for (const [way, options] of [
  ['the shortcut', []],
  ['the pump', ['--no-shortcut']],
] as const) {
  test.serial(`telnet interrupts a program that floods its terminal, through ${way}`, async (t) => {
    const faithd = await startFaithd(lab, [...permitted, ...options])
    await interrupts(t, faithd)
    await faithd.stop()
  })
}
