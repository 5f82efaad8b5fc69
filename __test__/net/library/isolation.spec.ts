/** Only faith listeners capture, and only captured connections reach them: the host's sockets are separate. */
import test from 'ava'
import { addresses, captured, type Host } from '../../../lab/index.js'
import { ServerHost } from '../../../lab/server.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()
const own = addresses.gateway

/** The banner of the SSH server at that address. */
async function banner(host: Host, address: string): Promise<string> {
  const asking = host.spawn('nc', [address, '22'])
  try {
    return await asking.line(/./)
  } finally {
    await asking.stop('SIGKILL')
  }
}

/** OpenSSH on [::]:22 of the router. */
async function sshd() {
  const { role, namespace } = lab.router
  return await new ServerHost(role, namespace, lab.directory).sshd()
}

test.serial('an sshd on [::]:22 cannot be reached through the prefix', async (t) => {
  const running = await sshd()
  try {
    t.regex(await banner(lab.client, own), /^SSH-2\.0-OpenSSH/, 'sshd runs')
    await using faith = await router.create()
    await t.throwsAsync(client.dial(server, 22), { code: 'ECONNREFUSED' })
    await t.throwsAsync(router.dial(server, 22), { code: 'ECONNREFUSED' })

    await using listener = await faith.listen({ ports: '23-65535' }, 'here')
    await t.throwsAsync(client.dial(server, 22), { code: 'ECONNREFUSED' })
    t.like(await client.greeting(server, 23), { from: 'here' })
    t.truthy(listener)
  } finally {
    await running.stop()
  }
})

for (const ports of [22, 'all'] as const) {
  test.serial(`an sshd on [::]:22 leaves port 22 to a listener on ${ports}`, async (t) => {
    const running = await sshd()
    try {
      await using faith = await router.create()
      await faith.listen({ ports }, 'here')
      t.like(await client.greeting(server, 22), { from: 'here' })
      t.like(await router.greeting(server, 22), { from: 'here' })
      t.regex(await banner(lab.client, own), /^SSH-2\.0-OpenSSH/, 'sshd keeps its own port')
    } finally {
      await running.stop()
    }
  })
}

test.serial('an sshd can start beside a listener on every port', async (t) => {
  await using faith = await router.create()
  await faith.listen({ ports: 'all' }, 'here')
  const running = await sshd()
  try {
    t.regex(await banner(lab.client, own), /^SSH-2\.0-OpenSSH/)
    t.like(await client.greeting(server, 22), { from: 'here' })
  } finally {
    await running.stop()
  }
})

test.serial('an ordinary server of the same process captures nothing', async (t) => {
  const ordinary = await router.makeServer('net', { key: '', cert: '' })
  await ordinary.listen(8080, '::')
  await using faith = await router.create()
  await t.throwsAsync(client.dial(server, 8080), { code: 'ECONNREFUSED' })
  t.like(await client.greeting(own, 8080), { server: 'net' } as object)

  await faith.listen({ port: 8080 }, 'faith')
  t.like(await client.greeting(server, 8080), { from: 'faith' })
  t.like(await client.greeting(own, 8080), { server: 'net' } as object)
})

test.serial('a faith listener does not answer at the addresses of the router', async (t) => {
  await using faith = await router.create()
  await faith.listen({ ports: 'all' }, 'here')
  t.like(await client.greeting(server, 9090), { from: 'here' })
  await t.throwsAsync(client.dial(own, 9090), { code: 'ECONNREFUSED' })
  await t.throwsAsync(router.dial('::1', 9090), { code: 'ECONNREFUSED' })
  await t.throwsAsync(router.dial('127.0.0.1', 9090), { code: 'ECONNREFUSED' })
})

/** The host's listening sockets. */
async function listening(): Promise<string> {
  return (await lab.router.run('ss', ['-Hltn'])).stdout
}

test.serial('listening sockets of a faith interface are invisible on the host', async (t) => {
  const before = await listening()
  await using faith = await router.create({ steering: 'on-demand' })
  await faith.listen({ ports: 'all' }, 'here')
  await client.greetings(server, [1, 2, 3])
  t.is(await listening(), before)
})
