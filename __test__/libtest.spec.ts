/** The limit for each test of Rust: scripts/libtest.mjs. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { run } from './fixtures/run.js'

const script = fileURLToPath(new URL('../scripts/libtest.mjs', import.meta.url))
const slow = 'echo "test one::two has been running for over 60 seconds"'

/** Runs a shell script in the place of cargo. */
const limited = (seconds: number, cargo: string) =>
  run(process.execPath, [script, String(seconds), 'sh', '-c', cargo])

test('a test that runs for longer than the limit is ended and named', async (t) => {
  const { code, stdout, stderr } = await limited(60, `${slow}; sleep 1000 & wait`)
  t.is(code, 1)
  t.is(stdout, 'test one::two has been running for over 60 seconds\n')
  t.is(stderr, 'the test one::two still ran after 60 seconds, so it was ended\n')
})

test('a slow test that ends before the limit is no fault', async (t) => {
  const ended = 'echo "test one::two ... ok"; echo "test result: ok"'
  const { code, stdout, stderr } = await limited(600, `${slow}; ${ended}`)
  t.is(code, 0)
  t.true(stdout.endsWith('test one::two ... ok\ntest result: ok\n'))
  t.is(stderr, '')
})

test('a failure is one, and so is a command that is missing', async (t) => {
  t.is((await limited(600, 'exit 101')).code, 101)
  t.is((await limited(600, 'kill -SEGV $$')).code, 128 + 11)
  const { code, stderr } = await run(process.execPath, [script, '600', '/no/such/cargo'])
  t.is(code, 1)
  t.regex(stderr, /ENOENT/)
})
