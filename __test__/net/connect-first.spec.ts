import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, startBoth, startFaithd, steerings } from '../fixtures/faithd.js'
import type { Faithd, Steering } from '../fixtures/faithd.js'
import { nft, packets } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

const banner = '220 mail.example ESMTP\r\n'

let lab: Lab
let faithds: Record<Steering, Faithd>
/** A faithd without connect-first: it answers the client before the server answers. */
let acceptFirst: Faithd
let client: Sockets
let server: Sockets

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  server = Sockets.of(lab.server)
  await Promise.all([lab.server.sshd(), lab.server.nginx()])
  faithds = await startBoth(lab)
  const args = [...permitted, '--no-connect-first', '--connect-timeout', '10']
  const place = { name: 'faith2', prefix: '3fff:65::' }
  acceptFirst = await startFaithd(lab, args, 'by itself', place)
})

test.after.always(() => lab.close())

let ports = 7200

function freshPort(): number {
  ports += 1
  return ports
}

/** Makes the server ignore a port until `answer` is called, and counts the SYNs at the client and at the server. */
async function silence(port: number) {
  const table = `inet silence${port}`
  await nft(
    lab.server,
    `table ${table} {
      counter ignored {}
      chain input {
        type filter hook input priority filter
        tcp dport ${port} counter name ignored drop
      }
    }`,
  )
  await nft(
    lab.client,
    `table ${table} {
      counter asked {}
      chain output {
        type filter hook output priority filter
        tcp dport ${port} tcp flags syn counter name asked
      }
    }`,
  )
  return {
    /** Waits until both legs have repeated their SYN. */
    async isAskedAgain(): Promise<void> {
      await waitFor('the SYNs to be repeated', async () => {
        const counts = [packets(lab.client, table, 'asked'), packets(lab.server, table, 'ignored')]
        return (await Promise.all(counts)).every((count) => count >= 2)
      })
    },
    answer: () => nft(lab.server, `delete table ${table}`),
  }
}

for (const [steering, too] of steerings) {
  test(`a server that speaks first is heard, such as sshd with its banner${too}`, async (t) => {
    const nc = lab.client.spawn('nc', [faithds[steering].address(), '22'])
    t.regex(await nc.line(/./), /^SSH-2\.0-OpenSSH_/)
    await nc.stop()
  })

  test(`a client gets everything from a server that speaks first and leaves at once${too}`, async (t) => {
    const faithd = faithds[steering]
    const port = freshPort()
    await server.listen(port, { greet: banner, leave: 'end' })
    const visits = Array.from({ length: 100 }, async () => {
      const near = await client.connect(faithd.address(), port)
      await near.hears(banner)
      await near.sees('end')
      near.ends()
      return near.history
    })
    for (const history of await Promise.all(visits)) t.deepEqual(history, ['connected', 'end'])
    const visited = () => faithd.sessions.filter(({ destination }) => destination.port === port)
    await waitFor('a record of each', () => visited().length === visits.length)
    for (const { bytesDown, reason } of visited()) {
      t.deepEqual({ bytesDown, reason }, { bytesDown: banner.length, reason: 'closed' })
    }
  })

  test(`an immediate reset by the server does not look like an end${too}`, async (t) => {
    const port = freshPort()
    await server.listen(port, { leave: 'reset' })
    const near = client.dial(faithds[steering].address(), port)
    // The client sees a refusal if the reset came before faithd looked at the connection.
    await near.sees('ECONN(?:RESET|REFUSED)')
    t.false(near.history.includes('end'))
  })

  test(`a client waits until its server answers, and connects once${too}`, async (t) => {
    const faithd = faithds[steering]
    const port = freshPort()
    const silent = await silence(port)
    const listening = await server.listen(port)
    const near = client.dial(faithd.address(), port)

    await silent.isAskedAgain()
    t.deepEqual(near.history, [])
    await silent.answer()

    await near.sees('connected')
    const far = await listening.accept()
    near.says('hello')
    await far.hears('hello')
    far.ends()
    near.ends()
    t.like(await faithd.sessionTo(port), { bytesUp: 5, reason: 'closed' })
    t.is(listening.accepted, 1)
  })

  test(`a client whose handshake lost a packet connects, and its server once${too}`, async (t) => {
    const faithd = faithds[steering]
    const port = freshPort()
    const table = `inet lossy${port}`
    await nft(
      lab.client,
      `table ${table} {
        counter lost {}
        chain input {
          type filter hook input priority filter
          tcp sport ${port} counter name lost drop
        }
      }`,
    )
    const listening = await server.listen(port)
    const near = client.dial(faithd.address(), port)
    const far = await listening.accept()
    await waitFor('the answer to be lost', async () => {
      return (await packets(lab.client, table, 'lost')) > 0
    })
    t.deepEqual(near.history, [])
    await nft(lab.client, `delete table ${table}`)

    await near.sees('connected')
    far.says('hello')
    await near.hears('hello')
    near.ends()
    far.ends()
    t.like(await faithd.sessionTo(port), { bytesDown: 5, reason: 'closed' })
    t.is(listening.accepted, 1)
  })

  test(`a client that gives up while it waits leaves nothing at the server${too}`, async (t) => {
    const faithd = faithds[steering]
    const port = freshPort()
    const silent = await silence(port)
    const listening = await server.listen(port)
    const near = client.dial(faithd.address(), port)
    await silent.isAskedAgain()
    near.resets()
    // Its program carries out orders in turn, so the client is gone when this one is answered.
    await near.status()
    await silent.answer()

    // The client answers the late SYN-ACK with a RST. This comes before the server's program hears of the connection,
    // unless a busy machine needs 200 ms for it.
    t.like(await faithd.refusalTo(port), { reason: 'client-reset', cause: 'client-gave-up' })
    await waitFor('the server to have no trace of it', async () => {
      const all = ['-Htan', 'exclude', 'listening', `sport = :${port}`]
      return (await lab.server.run('ss', all)).stdout === ''
    })
    for (let taken = 0; taken < listening.accepted; taken += 1) {
      await (await listening.accept()).sees('ECONNRESET')
    }
  })

  test(`a client that vanishes while it waits leaves nothing at the server${too}`, async (t) => {
    const faithd = faithds[steering]
    const port = freshPort()
    const silent = await silence(port)
    const listening = await server.listen(port)
    client.dial(faithd.address(), port)
    await silent.isAskedAgain()
    await nft(
      lab.client,
      `table inet vanished${port} {
        chain output {
          type filter hook output priority filter
          tcp dport ${port} drop
        }
      }`,
    )
    await silent.answer()

    const far = await listening.accept()
    await far.sees('ECONNRESET')
    t.like(await faithd.refusalTo(port), { reason: 'aborted', cause: 'no-handshake' })
  })

  test(`a client with two addresses falls back to the one that works${too}`, async (t) => {
    const faithd = faithds[steering]
    const port = freshPort()
    await nft(
      lab.server,
      `table ip pair${port} {
        chain prerouting {
          type nat hook prerouting priority dstnat
          ip daddr ${addresses.server} tcp dport ${port} redirect to :80
        }
      }`,
    )
    const pair = [addresses.serverSecond, addresses.server].map((ipv4) => {
      return `[${faithd.address(ipv4)}]`
    })
    const resolve = ['--resolve', `www.example:${port}:${pair.join(',')}`]
    const url = `http://www.example:${port}/whoami`
    const page = await lab.client.run('curl', ['-sSv', ...resolve, url])
    t.is(page.stdout, `${addresses.routerIPv4}\n`, page.stderr)
    t.regex(page.stderr, /failed: Connection refused/)
    t.is((await faithd.refusalTo(port)).reason, 'refused')
    t.is((await faithd.sessionTo(port)).reason, 'closed')
  })
}

test('a client of a silent server gets no answer, and leaves nothing behind', async (t) => {
  const args = [...permitted, '--connect-timeout', '1']
  const faithd = await startFaithd(lab, args, 'by itself', { name: 'faith3', prefix: '3fff:66::' })
  const port = freshPort()
  await silence(port)
  await nft(
    lab.client,
    `table inet answers {
      counter answers {}
      chain input {
        type filter hook input priority filter
        ip6 saddr 3fff:66::/96 counter name answers
      }
    }`,
  )
  const { descriptors } = faithd
  const near = client.dial(faithd.address(), port)
  t.like(await faithd.refusalTo(port), { reason: 'connect-timeout' })
  await waitFor('the descriptors to be closed', () => faithd.descriptors <= descriptors)
  t.is(await packets(lab.client, 'inet answers', 'answers'), 0)
  t.deepEqual(near.history, [])
})

test('without connect-first, a client is connected before its server answers', async (t) => {
  const port = freshPort()
  const silent = await silence(port)
  const near = client.dial(acceptFirst.address(), port)
  await near.sees('connected')
  await near.sees('ECONNRESET')
  t.like(await acceptFirst.refusalTo(port), { reason: 'connect-timeout' })
  await silent.answer()
})

test('without connect-first, a client whose server refuses is reset', async (t) => {
  const port = freshPort()
  const near = client.dial(acceptFirst.address(), port)
  await near.sees('ECONNRESET')
  t.false(near.history.includes('ECONNREFUSED'))
  t.like(await acceptFirst.refusalTo(port), { reason: 'refused' })
})

test('without connect-first, a client whose destination is denied is reset', async (t) => {
  const port = freshPort()
  const near = client.dial(acceptFirst.address('10.0.0.1'), port)
  await near.sees('ECONNRESET')
  t.false(near.history.includes('EACCES'))
  t.like(await acceptFirst.refusalTo(port), { reason: 'denied' })
})

test('without connect-first, early bytes of a client are not lost', async (t) => {
  const port = freshPort()
  const listening = await server.listen(port)
  const near = await client.connect(acceptFirst.address(), port)
  near.says('early')
  const far = await listening.accept()
  await far.hears('early')
  far.says('late')
  await near.hears('late')
  near.ends()
  far.ends()
  t.like(await acceptFirst.sessionTo(port), { bytesUp: 5, bytesDown: 4, reason: 'closed' })
})
