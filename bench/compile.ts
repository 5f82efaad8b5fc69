/** Compiles the benchmark's C programs on the machine that runs them, so that no binaries are checked in. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Paths of the compiled programs. */
export interface Programs {
  tcpLoad: string
  httpServer: string
  spliceRelay: string
  transfer: string
  udpLoad: string
  way: string
}

const sources: Programs = {
  tcpLoad: 'load/tcp-load.c',
  httpServer: 'load/http-server.c',
  spliceRelay: 'relay/splice-relay.c',
  transfer: 'load/transfer.c',
  udpLoad: 'load/udp-load.c',
  way: 'load/way.c',
}

const options = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-pthread']

/** Compiles all programs. They are removed when the process ends. */
export async function compile(): Promise<Programs> {
  const folder = mkdtempSync(join(tmpdir(), 'faithd-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const run = promisify(execFile)
  const made = Object.entries(sources).map(async ([name, source]) => {
    const output = join(folder, basename(source, '.c'))
    const input = fileURLToPath(new URL(source, import.meta.url))
    const { stderr } = await run('cc', [...options, '-o', output, input])
    if (stderr !== '') process.stderr.write(stderr)
    return [name, output]
  })
  return Object.fromEntries(await Promise.all(made)) as Programs
}
