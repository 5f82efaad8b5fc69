/**
 * Clients of captured sockets, and of splices, get what was ended in order, although their link takes its time and the
 * interface is closed or the process ends meanwhile; those that do not get it are told by a reset.
 */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { LabProcess } from '../../lab/index.js'
import { Download, narrowStage } from '../fixtures/download.js'

const program = fileURLToPath(new URL('../programs/leaving.ts', import.meta.url))
const large = 1_000_000
/** What takes the lossy link some seconds, of which a good part is the kernel’s before a socket closes. */
const cut = 400_000

type Stage = Awaited<ReturnType<typeof narrowStage>>

interface Scene {
  /** What the program does in the end. */
  how: string
  /** How far its connection is by then. */
  when: 'closed' | 'ended' | 'spliced'
  bytes?: number
  drain?: string
  shortcut?: boolean
}

/** Has the program send a client bytes, and tells how far that is when it takes its leave. */
async function play(
  stage: Stage,
  { how, when, bytes = large, drain = '-', shortcut = true }: Scene,
) {
  const { lab } = stage
  const path = shortcut ? 'shortcut' : 'pump'
  const leaving: LabProcess = lab.router.node(program, [how, when, String(bytes), drain, path])
  await leaving.line(/^listening$/)
  const send = await stage.serve(bytes, 'ends')
  // One that has only been told to end is not over, and a client that goes on sending must not change that.
  const download = await Download.begin(lab.client, { half: when !== 'ended' })
  if (when === 'spliced') await send()
  await leaving.line(/^served$/, { timeout: 90_000 })
  const before = download.bytes
  leaving.stdin.write('leave\n')
  return { before, leaving, download }
}

for (const shortcut of [true, false]) {
  const path = shortcut ? 'by the shortcut' : 'by the pump'
  for (const when of ['closed', 'ended', 'spliced'] as const) {
    for (const bytes of [1, large]) {
      test.serial(
        `faith.close() delivers ${bytes} bytes of a connection that is ${when}, ${path}`,
        async (t) => {
          await using stage = await narrowStage('a patient link')
          const scene = { how: 'close', when, bytes, drain: '30000', shortcut }
          const { before, download, leaving } = await play(stage, scene)
          if (bytes === large) t.true(before < bytes, 'a good part is on its way')
          t.deepEqual(await download.outcome(), { bytes, end: 'end' })
          t.deepEqual(await leaving.exited, { code: 0, signal: null })
        },
      )
    }
  }

  for (const how of ['rest', 'exit 0']) {
    for (const when of ['closed', 'spliced'] as const) {
      test.serial(
        `a process that ends by "${how}" delivers what is ${when}, ${path}`,
        async (t) => {
          await using stage = await narrowStage('a patient link')
          const { before, download, leaving } = await play(stage, {
            how,
            when,
            bytes: 600_000,
            shortcut,
          })
          t.true(before < 600_000, 'a good part is on its way')
          t.deepEqual(await download.outcome(), { bytes: 600_000, end: 'end' })
          t.deepEqual(await leaving.exited, { code: 0, signal: null })
        },
      )
    }
  }

  for (const [how, drain, code] of [
    ['close', '0', 0],
    ['close', '300', 0],
    ['exit 3', '-', 3],
    ['throw', '-', 1],
  ] as const) {
    for (const when of ['closed', 'ended', 'spliced'] as const) {
      test.serial(
        `"${how}" with a drain of ${drain} resets the client of what is ${when}, ${path}`,
        async (t) => {
          await using stage = await narrowStage('a lossy link')
          const { download, leaving } = await play(stage, {
            how,
            when,
            bytes: cut,
            drain,
            shortcut,
          })
          const { bytes, end } = await download.outcome()
          t.is(end, 'ECONNRESET')
          t.true(bytes < cut)
          t.deepEqual(await leaving.exited, { code, signal: null })
        },
      )
    }
  }
}
