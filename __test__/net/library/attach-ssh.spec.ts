/** An SSH server from npm (ssh2) answers OpenSSH's client for a whole prefix. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, captured, createLab } from '../../../lab/index.js'
import { generate } from '../../../lab/programs/stream.js'
import { Sockets } from '../../fixtures/sockets.js'
import type { Command } from '../../programs/ssh-server.js'

const program = fileURLToPath(new URL('../../programs/ssh-server.ts', import.meta.url))

const lab = await createLab()
test.after.always(() => lab.close())

/** Starts the program with the server, in the router. */
async function attached(which: 'one' | 'each') {
  const server = lab.router.node(program, [which])
  await server.line(/^ready$/)
  const commands = () =>
    server.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Command)
  const stop = async () => void (await server.stop('SIGKILL'))
  return { commands, [Symbol.asyncDispose]: stop }
}

/** Runs a command with OpenSSH's client, without this machine's configuration and known hosts. */
async function ssh(address: string, command: string, input = '') {
  const settings = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
  const args = ['-F', 'none', ...settings.flatMap((setting) => ['-o', setting])]
  const { code, stdout, stderr } = await lab.client.run(
    'ssh',
    [...args, `user@${address}`, command],
    { input },
  )
  return { code, stdout, stderr }
}

test.serial('a command returns its output, its errors and its exit code', async (t) => {
  await using server = await attached('one')
  for (const address of [captured(), captured('203.0.113.7')]) {
    t.deepEqual(await ssh(address, 'answer me'), {
      code: 7,
      stdout: 'you said answer me, to an unknown address\n',
      stderr: 'in other words\n',
    })
  }
  t.deepEqual(server.commands(), [{ command: 'answer me' }, { command: 'answer me' }])
})

test.serial('input and output of a command arrive byte for byte', async (t) => {
  await using _ = await attached('one')
  const sent = Buffer.concat([...generate('ssh', 3 << 20)]).toString('base64')
  const { code, stdout, stderr } = await ssh(captured(), 'repeat', sent)
  t.deepEqual([code, stdout.length, stderr], [0, sent.length, ''])
  t.true(stdout === sent)
})

test.serial('a server for each connection knows the dialled address', async (t) => {
  await using server = await attached('each')
  const destinations = [
    { ipv4: addresses.server, address: '64:ff9b::c633:6402' },
    { ipv4: '203.0.113.7', address: '64:ff9b::cb00:7107' },
  ]
  for (const { ipv4, address } of destinations) {
    const { code, stdout } = await ssh(captured(ipv4), 'answer me')
    t.deepEqual([code, stdout], [7, `you said answer me, to ${address}\n`])
  }
  t.deepEqual(
    server.commands().map(({ destination }) => destination),
    destinations.map(({ ipv4, address }) => ({
      address,
      port: 22,
      ipv4,
      ipv4Port: 22,
      prefix: '64:ff9b::/96',
      interface: 'faith0',
    })),
  )
})

for (const which of ['one', 'each'] as const) {
  test.serial(`a client that ends without a word is not kept: ${which}`, async (t) => {
    await using _ = await attached(which)
    const guest = await Sockets.of(lab.client).connect(captured(), 22)
    await guest.hears('SSH-2.0-faith\r\n')
    guest.ends()
    await guest.sees('end')
    t.deepEqual(guest.history, ['connected', 'end'])
  })
}
