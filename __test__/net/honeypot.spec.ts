/** Tests examples/honeypot.mjs. */
import test from 'ava'
import { addresses, captured, createLab, waitFor } from '../../lab/index.js'
import { type Example, startExample } from '../fixtures/examples.js'
import { Sockets } from '../fixtures/sockets.js'

const lab = await createLab()
test.after.always(() => lab.close())

const client = Sockets.of(lab.client)

interface Guest {
  event: string
  came: string
  client: { address: string; port: number }
  destination: { address: string; port: number; ipv4: string }
  ended: string
  heard: string
}

/** Waits for its log record of the guest of a port. */
const guestOf = (honeypot: Example, port: number) =>
  honeypot.logs<Guest>(({ event, destination }) => event === 'guest' && destination.port === port)

const other = 'ready\r\n'
const greetings = new Map([
  [1, other],
  [21, '220 FTP server ready\r\n'],
  [22, 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'],
  [23, 'login: '],
  [25, '220 mail ESMTP\r\n'],
  [143, '* OK IMAP4rev1 ready\r\n'],
  [3306, other],
  [65535, other],
])

test.serial(
  'every port greets at every address, and ports of services greet like them',
  async (t) => {
    await using honeypot = await startExample(lab.router, 'honeypot', [
      '64:ff9b::/96',
      '2001:db8:64::/96',
    ])
    for (const address of [captured(), captured('203.0.113.7'), '2001:db8:64::192.0.2.1']) {
      for (const [port, greeting] of greetings) {
        const guest = await client.connect(address, port)
        await guest.hears(greeting)
        guest.ends()
        await guest.sees('end')
      }
    }
    const count = 3 * greetings.size
    await waitFor('a record of each guest', () => honeypot.log.length === 1 + count)
    t.like(await honeypot.process.stop('SIGTERM'), { code: 0 })
  },
)

test.serial('bytes of guests are logged, and get no answer', async (t) => {
  await using honeypot = await startExample(lab.router, 'honeypot')
  const guest = await client.connect(captured(), 23)
  await guest.hears('login: ')
  guest.says('root\r\ncat /etc/shadow\r\n')
  guest.ends()
  await guest.sees('end')
  const { came, ...logged } = await guestOf(honeypot, 23)
  t.deepEqual(logged, {
    event: 'guest',
    client: { address: addresses.client, port: await guest.port() },
    destination: {
      address: '64:ff9b::c633:6402',
      port: 23,
      ipv4: addresses.server,
      ipv4Port: 23,
      prefix: '64:ff9b::/96',
      interface: 'faith0',
    },
    ended: 'by itself',
    heard: 'root\r\ncat /etc/shadow\r\n',
  } as never)
  t.true(Math.abs(Date.parse(came) - Date.now()) < 60_000)
  t.is((await guest.status()).text, 'login: ')
})

test.serial('a web client gets its answer after its request, and 403 for everything', async (t) => {
  await using honeypot = await startExample(lab.router, 'honeypot')
  const args = ['-sS', '-o', '/dev/null', '-w', '%{http_code}', `http://[${captured()}]/admin`]
  t.is((await lab.client.run('curl', args)).stdout, '403')
  t.regex((await guestOf(honeypot, 80)).heard, /^GET \/admin HTTP\/1\.1\r\n/)
})

test.serial('TLS clients get no answer, and their bytes are logged', async (t) => {
  await using honeypot = await startExample(lab.router, 'honeypot')
  const guest = await client.connect(captured(), 443)
  guest.says('\u0016\u0003\u0001')
  guest.ends()
  await guest.sees('end')
  t.is((await guestOf(honeypot, 443)).heard, '\u0016\u0003\u0001')
  t.is((await guest.status()).received, 0)
})

test.serial(
  'a guest that sends more than the limit is reset, and the rest is not kept',
  async (t) => {
    await using honeypot = await startExample(lab.router, 'honeypot', ['--bytes', '10'])
    for (const [port, greeting] of [
      [23, 'login: '],
      [80, ''],
    ] as const) {
      const guest = await client.connect(captured(), port)
      await guest.hears(greeting)
      guest.says('0123456789abcdef')
      await guest.sees('ECONNRESET')
      t.like(await guestOf(honeypot, port), { ended: 'bytes', heard: '0123456789' })
    }
  },
)

test.serial('a guest that stays longer than the limit is reset, even a busy one', async (t) => {
  await using honeypot = await startExample(lab.router, 'honeypot', ['--seconds', '1'])
  const guest = await client.connect(captured(), 22)
  await waitFor('the guest to be reset', () => {
    guest.says('.')
    return guest.history.includes('ECONNRESET') || guest.history.includes('EPIPE')
  })
  t.like(await guestOf(honeypot, 22), { ended: 'time' })
})

test.serial('guests beyond the limit wait until one leaves', async (t) => {
  await using honeypot = await startExample(lab.router, 'honeypot', ['--guests', '2'])
  const all = await Promise.all([22, 23, 25].map((port) => client.connect(captured(), port)))
  const greeted = async () => {
    const statuses = await Promise.all(all.map((guest) => guest.status()))
    return all.filter((_, index) => statuses[index]?.received)
  }
  const two = await waitFor('two of them', async () => {
    const some = await greeted()
    return some.length === 2 ? some : undefined
  })
  const left = Date.now()
  two[0]?.ends()
  await waitFor('the third', async () => (await greeted()).length === 3)
  for (const guest of all) guest.ends()
  await waitFor('all guests to leave', () => honeypot.log.length === 4)
  const third = await all.find((guest) => !two.includes(guest))?.port()
  const { came } = await honeypot.logs<Guest>((guest) => {
    return guest.event === 'guest' && guest.client.port === third
  })
  t.true(Date.parse(came) >= left, `${came}, ${new Date(left).toISOString()}`)
})

test.serial('control characters are escaped in the log', async (t) => {
  await using honeypot = await startExample(lab.router, 'honeypot')
  const guest = await client.connect(captured(), 22)
  guest.says('\u{1B}\u{7F}\u{9B}')
  guest.ends()
  const { heard } = await guestOf(honeypot, 22)
  // The last character has two bytes in UTF-8; the log shows bytes as Latin-1.
  t.is(heard, '\u{1B}\u{7F}\u{C2}\u{9B}')
  const commands = [...honeypot.process.stdout].filter((char) => /\p{Cc}/u.test(char))
  t.deepEqual([...new Set(commands)], ['\n'])
})

test.serial('an ending honeypot resets its guests', async (t) => {
  await using honeypot = await startExample(lab.router, 'honeypot')
  const guest = await client.connect(captured(), 22)
  await waitFor('the greeting', async () => (await guest.status()).received > 0)
  t.like(await honeypot.process.stop('SIGINT'), { code: 0 })
  await guest.sees('ECONNRESET')
})
