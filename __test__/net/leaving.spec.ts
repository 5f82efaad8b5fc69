/**
 * Clients on slow links still get the bytes of ended captured sockets and splices when the interface is closed or the
 * process ends. A client that does not get them all gets a reset.
 */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { LabProcess } from '../../lab/index.js'
import { Download, narrowStage } from '../fixtures/download.js'

const program = fileURLToPath(new URL('../programs/leaving.ts', import.meta.url))
const large = 1_000_000
/** Bytes that take the lossy link some seconds. The kernel holds a good part of them until a socket closes. */
const cut = 400_000

type Stage = Awaited<ReturnType<typeof narrowStage>>

interface Scene {
  /** The way the program ends. */
  how: string
  /** The state of its connection by then. */
  when: 'closed' | 'ended' | 'spliced'
  bytes?: number
  drain?: string
  shortcut?: boolean
}

/** Makes the program send bytes to a client, and returns the progress when the program leaves. */
async function play(
  stage: Stage,
  { how, when, bytes = large, drain = '-', shortcut = true }: Scene,
) {
  const { lab } = stage
  const path = shortcut ? 'shortcut' : 'pump'
  const leaving: LabProcess = lab.router.node(program, [how, when, String(bytes), drain, path])
  await leaving.line(/^listening$/)
  const send = await stage.serve(bytes, 'ends')
  // Keeps the client open when the socket was only told to end: a client that still sends must not change the result.
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
          if (bytes === large) t.true(before < bytes, 'some bytes are still on their way')
          t.deepEqual(await download.outcome(), { bytes, end: 'end' })
          t.deepEqual(await leaving.exited, { code: 0, signal: null })
        },
      )
    }
  }

  for (const how of ['rest', 'exit 0']) {
    for (const when of ['closed', 'spliced'] as const) {
      test.serial(
        `a process that leaves by "${how}" delivers a connection that is ${when}, ${path}`,
        async (t) => {
          await using stage = await narrowStage('a patient link')
          const { before, download, leaving } = await play(stage, {
            how,
            when,
            bytes: 600_000,
            shortcut,
          })
          t.true(before < 600_000, 'some bytes are still on their way')
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
        `"${how}" with a drain of ${drain} resets the client of a connection that is ${when}, ${path}`,
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
