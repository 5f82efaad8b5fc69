/**
 * npm's ssh2 at port 22 of every address of faith0. It accepts every user and knows two commands: `answer` writes to
 * both outputs and exits with 7, `repeat` echoes its input. The first argument selects the attached server: `one` for
 * all connections, or one for `each`, which knows the dialled address. It prints a line of JSON for every command.
 */
import { generateKeyPairSync } from 'node:crypto'
import ssh2, { type Connection, type ServerChannel } from 'ssh2'
import {
  createFaithInterface,
  setKeepfaith,
  type FaithSocket,
  type FaithSocketDestination,
} from '../../index.js'

/** A command that a client ran. */
export interface Command {
  command: string
  /** The dialled address, if the server knows it. */
  destination?: FaithSocketDestination
}

// Uses Node's own key: ssh2 cannot read all the keys that it makes.
const { privateKey } = generateKeyPairSync('ec', {
  namedCurve: 'prime256v1',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'sec1', format: 'pem' },
})
const settings = { hostKeys: [privateKey], ident: 'faith' }
const [which] = process.argv.slice(2)

function run(channel: ServerChannel, { command, destination }: Command): void {
  if (command === 'repeat') {
    channel.pipe(channel, { end: false })
    channel.on('end', () => {
      channel.exit(0)
      channel.end()
    })
    return
  }
  channel.stderr.write('in other words\n')
  channel.write(`you said ${command}, to ${destination?.address ?? 'an unknown address'}\n`)
  channel.exit(7)
  channel.end()
}

function serve(client: Connection, destination?: FaithSocketDestination): void {
  client.on('error', () => undefined)
  client.on('authentication', (attempt) => attempt.accept())
  client.on('session', (accept) => {
    accept().on('exec', (acceptCommand, _, { command }) => {
      const told: Command = { command, ...(destination && { destination }) }
      process.stdout.write(`${JSON.stringify(told)}\n`)
      run(acceptCommand(), told)
    })
  })
}

const server = new ssh2.Server(settings, (client) => serve(client))

function serveAlone(socket: FaithSocket): void {
  const { destination } = socket
  new ssh2.Server(settings, (client) => serve(client, destination)).injectSocket(socket)
}

setKeepfaith(true)
const faith = await createFaithInterface()
const listener = await faith.listen({ port: 22 })
listener.attach(which === 'each' ? { injectSocket: serveAlone } : server)
process.stdout.write('ready\n')
