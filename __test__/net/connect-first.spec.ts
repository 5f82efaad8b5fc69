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
/** The other way: the client is answered before the server is. */
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

/** Has the server ignore a port until `answer` is called, and counts what it and the client see of it. */
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
    /** Waits until both legs have sent their SYN again. */
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
  test(`a server that speaks first is heard, ssh's banner for one${too}`, async (t) => {
    const nc = lab.client.spawn('nc', [faithds[steering].address(), '22'])
    t.regex(await nc.line(/./), /^SSH-2\.0-OpenSSH_/)
    await nc.stop()
  })

  test(`a server that speaks first and leaves at once is heard to the end${too}`, async (t) => {
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

  test(`a server that resets at once is not taken for one that ends${too}`, async (t) => {
    const port = freshPort()
    await server.listen(port, { leave: 'reset' })
    const near = client.dial(faithds[steering].address(), port)
    // Refused, when the reset was there before anybody had looked at the connection.
    await near.sees('ECONN(?:RESET|REFUSED)')
    t.false(near.history.includes('end'))
  })

  test(`a client waits until its server answers, and is connected once${too}`, async (t) => {
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

  test(`a client whose handshake lost a packet is connected, and its server once${too}`, async (t) => {
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
    // Its program takes orders one by one, so it is gone when this is answered.
    await near.status()
    await silent.answer()

    // Its answer to the SYN-ACK, which comes too late, is a RST: in time for the server's program not to hear of it at
    // all, unless a busy machine took 200 ms for it.
    t.like(await faithd.refusalTo(port), { reason: 'client-reset', cause: 'client-gave-up' })
    await waitFor('nothing of it to be left at the server', async () => {
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
    // It may be on its way as long as handshakes take on bad networks.
    await far.sees('ECONNRESET', { timeout: 45_000 })
    t.like(await faithd.refusalTo(port), { reason: 'aborted', cause: 'no-handshake' })
  })

  test(`a client with two addresses goes on to the one that works${too}`, async (t) => {
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

test('a client whose server is silent is answered by nothing, and nothing is left of it', async (t) => {
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
  await waitFor('nothing to be left', () => faithd.descriptors <= descriptors)
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

test('without connect-first, what a client says before its server answers is not lost', async (t) => {
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
