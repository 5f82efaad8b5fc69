/** A process can load the addon several times: in threads, and from copies of its file. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { stage } from '../../programs/stage.js'

const { lab, client } = await stage()
const program = fileURLToPath(new URL('../../programs/copies.ts', import.meta.url))

/** The greeting of the copy of that number, or the error's code. */
async function greeter(index: number): Promise<string | undefined> {
  const dialled = await client.begin(`64:ff9b:1:${index}::1`, 80)
  await dialled.connected()
  return await dialled.line()
}

test.serial('threads and copies work side by side, and end separately', async (t) => {
  const copies = lab.router.node(program, [join(lab.directory, 'copy.node')])
  await copies.line(/^ready$/)
  const all = [0, 1, 2, 3]
  const greeted = async (indices: number[]): Promise<void> => {
    const many = Array.from({ length: 20 }, () => indices).flat()
    t.deepEqual(
      await Promise.all(many.map(greeter)),
      many.map((index) => `faith${index}`),
    )
  }
  await greeted(all)
  copies.stdin.write('\n')
  await copies.line(/^terminated$/)
  await greeted([0, 3])
  const { stdout } = await lab.router.run('ip', ['-o', 'link', 'show', 'type', 'tun'])
  t.deepEqual(stdout.match(/faith\d/g), ['faith0', 'faith3'])
  copies.stdin.write('\n')
  t.deepEqual(await copies.exited, { code: 0, signal: null })
  t.is(copies.stderr, '')
})
