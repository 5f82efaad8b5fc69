/** examples/sni-router.mjs does what it says. */
import test from 'ava'
import { addresses, captured, createLab, waitFor } from '../../lab/index.js'
import { startExample } from './fixtures/examples.js'
import { Sockets } from './fixtures/sockets.js'

const lab = await createLab()
test.after.always(() => lab.close())

const dial = `
  const [host, servername] = process.argv.slice(1)
  require('node:tls').connect({ host, port: 443, servername }).on('error', (error) => {
    console.log(error.code)
  })`

const asks = (name: string) => lab.client.spawn(process.execPath, ['-e', dial, captured(), name])

test('each client comes to the server whose name it asks for, or is reset', async (t) => {
  const servers = Sockets.of(lab.server)
  const named = new Map([
    ['blue.example', 4431],
    ['green.example', 4432],
  ])
  const args = [...named].map(([name, port]) => `${name}=${addresses.server}:${port}`)
  await using example = await startExample(lab.router, 'sni-router', args)
  const router = example.process

  for (const [name, port] of named) {
    const listening = await servers.listen(port)
    const client = asks(name)
    const server = await listening.accept()
    await waitFor('the ClientHello', async () => (await server.status()).text.includes(name))
    server.resets()
    await client.line(/^ECONNRESET$/)
    await router.line(new RegExp(`^${name}: [1-9]\\d+ bytes up, 0 down, server-reset$`))
    t.is(listening.accepted, 1)
  }

  const stranger = asks('red.example')
  await stranger.line(/^ECONNRESET$/)
  await router.line(/no server for red\.example$/)
  t.like(await router.stop('SIGTERM'), { code: 0 })
})
