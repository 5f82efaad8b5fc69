/** Tests examples/http-prefix.mjs. */
import test from 'ava'
import { addresses, captured, createLab, waitFor } from '../../lab/index.js'
import { startExample } from '../fixtures/examples.js'
import { Sockets } from '../fixtures/sockets.js'

const lab = await createLab()
test.after.always(() => lab.close())

/** Fetches each URL with curl, and returns a line of each. */
async function curl(...urls: string[]): Promise<string[]> {
  const args = ['-sS', '--max-time', '15', ...urls]
  const { code, stdout, stderr } = await lab.client.run('curl', args)
  if (code !== 0) throw new Error(`curl: ${code}: ${stderr}`)
  return stdout.trimEnd().split('\n')
}

test.serial('every address of the well-known prefix answers with its own address', async (t) => {
  await using server = await startExample(lab.router, 'http-prefix')
  const last = Array.from({ length: 50 }, (_, index) => index)
  const urls = last.map((byte) => `http://[${captured(`192.0.2.${byte}`)}]/`)
  t.deepEqual(
    await curl(...urls),
    last.map((byte) => {
      const address = `64:ff9b::c000:2${byte.toString(16).padStart(2, '0')}`
      return `you dialled ${address} port 80, which means 192.0.2.${byte}`
    }),
  )
  t.like(await server.process.stop('SIGTERM'), { code: 0 })
})

test.serial('every address of the given prefixes answers on the given port', async (t) => {
  const args = ['--port', '8080', '2001:db8:64::/96', '3fff:64::/32']
  await using server = await startExample(lab.router, 'http-prefix', args)
  t.deepEqual(
    await curl('http://[2001:db8:64::198.51.100.2]:8080/', 'http://[3fff:64:c633:6402::]:8080/'),
    [
      `you dialled 2001:db8:64::c633:6402 port 8080, which means ${addresses.server}`,
      `you dialled 3fff:64:c633:6402:: port 8080, which means ${addresses.server}`,
    ],
  )
  t.is(
    await Sockets.of(lab.client).dial('2001:db8:64::198.51.100.2', 80).outcome(),
    'ECONNREFUSED',
    'other ports are refused',
  )
  t.like(await server.process.stop('SIGINT'), { code: 0 })
})

test.serial('the URL that it prints when ready answers', async (t) => {
  await using server = await startExample(lab.router, 'http-prefix', ['--port', '81'])
  const [url = ''] = /http:\S+/.exec(await server.process.line(/^ready/)) ?? []
  t.deepEqual(await curl(url), ['you dialled 64:ff9b::c000:221 port 81, which means 192.0.2.33'])
})

test.serial('an ending server closes kept connections', async (t) => {
  await using server = await startExample(lab.router, 'http-prefix')
  const client = await Sockets.of(lab.client).connect(captured(), 80)
  client.says('GET / HTTP/1.1\r\nHost: faith\r\n\r\n')
  await waitFor('the answer', async () => (await client.status()).text.includes('you dialled'))
  t.like(await server.process.stop('SIGTERM'), { code: 0 })
  await client.sees('end')
})
