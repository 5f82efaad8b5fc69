/** An aborted signal ends its splice, or keeps it from starting. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { closes, connection, silence } from '../../fixtures/splices.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const servers = Sockets.of(lab.server)
const echo = { host: addresses.server, port: 7 }
const abortError = { code: 'ABORT_ERR', message: 'The operation was aborted' }
test.before(() => lab.server.echo(echo))

const abort = (signal: string): Promise<void> => router.ask('abortSplices', signal)

test.serial('a running splice is aborted, and both sides are reset', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const other = await connection(faith, client)
  const listening = await servers.listen(port)
  const ended = accepted.spliceTo({ host, port }, 'running')
  const goesOn = other.accepted.spliceTo(echo, 'not aborted')
  const server = await listening.accept()
  await caller.write('hello\n')
  await server.hears('hello\n')
  const reading = caller.receive()
  await abort('running')
  t.like(await ended, { reason: 'aborted', bytesUp: 6, bytesDown: 0 })
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
  await server.sees('ECONNRESET')
  await closes(accepted)
  await other.caller.write('still here\n')
  t.is(await other.caller.line(), 'still here')
  await other.caller.end()
  t.like(await goesOn, { reason: 'closed' })
  t.like((await faith.stats()).splices.ended, { aborted: 1, closed: 1 })
})

test.serial('a splice whose server is being connected does not start', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const called = await silence(lab.server, port)
  const connecting = async (): Promise<string> => {
    const { stdout } = await lab.router.run('ss', ['-Htn', 'state', 'syn-sent'])
    return stdout
  }
  const ended = accepted.spliceTo({ host, port }, 'connecting')
  ended.catch(() => undefined)
  await called()
  t.not(await connecting(), '')
  await abort('connecting')
  await t.throwsAsync(ended, abortError)
  await waitFor('the connecting to end', async () => (await connecting()) === '')
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
  t.deepEqual(await accepted.happened(), [])
  const again = accepted.spliceTo(echo)
  await caller.write('and now?\n')
  t.is(await caller.line(), 'and now?')
  await caller.end()
  t.like(await again, { reason: 'closed' })
})

test.serial('a splice with an aborted signal does not start', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const listening = await servers.listen(port)
  await abort('before')
  await t.throwsAsync(accepted.spliceTo({ host, port }, 'before'), abortError)
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
  t.is(listening.accepted, 0)
})

test.serial('a splice that waits for earlier writes does not start', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const listening = await servers.listen(port)
  const line = `${'from JavaScript,'.repeat(4096)}\n`
  t.true((await router.ask('fill', accepted.id, line)) > 0)
  const ended = accepted.spliceTo({ host, port }, 'waiting')
  ended.catch(() => undefined)
  const server = await listening.accept()
  await abort('waiting')
  await t.throwsAsync(ended, abortError)
  await server.sees('ECONNRESET')
  await accepted.end()
  for (let next = await caller.line(); next !== undefined; next = await caller.line()) {
    t.is(`${next}\n`, line)
  }
  await caller.write('I have read it all\n')
  t.is(await accepted.line(), 'I have read it all')
})

test.serial('a splice into a socket has its own options', async (t) => {
  await using faith = await router.create()
  const one = await connection(faith, client)
  const upstream = await router.dial(echo.host, echo.port)
  const ended = one.accepted.spliceTo(upstream, 'into a socket')
  await one.caller.write('hello\n')
  t.is(await one.caller.line(), 'hello')
  const reading = one.caller.receive()
  await abort('into a socket')
  t.like(await ended, { reason: 'aborted', bytesUp: 6, bytesDown: 6 })
  await t.throwsAsync(reading, { code: 'ECONNRESET' })

  const other = await connection(faith, client)
  const { id } = await router.dial(echo.host, echo.port)
  const idle = router.ask('spliceToSocket', other.accepted.id, id, { idleTimeoutMs: 50 })
  t.like(await idle, { reason: 'idle-timeout' })
})

test.serial('malformed options are refused, and leave the socket alone', async (t) => {
  await using faith = await router.create()
  const { caller, accepted } = await connection(faith, client)
  const { id } = await router.dial(echo.host, echo.port)
  for (const options of [{ signal: 'soon' }, { connectTimeoutMs: 1 }, { idleTimeoutMs: -1 }]) {
    const splicing = router.ask('spliceToSocket', accepted.id, id, options as object)
    await t.throwsAsync(splicing, { code: 'ERR_FAITH_ARGUMENT' })
  }
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
})

test.serial('one signal can serve a hundred splices without a warning from Node', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  const ended = listener.spliceEach(echo, 100, 'hundred')
  const callers = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const caller = await client.dial(captured(), 80)
      await caller.write(`${index}\n`)
      t.is(await caller.line(), `${index}`)
      return caller
    }),
  )
  await abort('hundred')
  t.deepEqual(await ended, { aborted: 100 })
  await Promise.all(
    callers.map((caller) => t.throwsAsync(caller.receive(), { code: 'ECONNRESET' })),
  )
  t.notRegex(router.process.stderr, /Warning/)
})
