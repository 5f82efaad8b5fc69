/**
 * npm's ssh2 at port 22 of every address of faith0. It lets everybody in, and knows two commands: `answer` has words
 * for both outputs and exits with 7, `repeat` gives back what it reads. The first argument says which server is attached:
 * `one` for all connections, or one for `each`, which can tell what was dialled. A line of JSON tells of every command.
 */
import { generateKeyPairSync } from 'node:crypto'
import ssh2, { type Connection, type ServerChannel } from 'ssh2'
import {
  createFaithInterface,
  setKeepfaith,
  type FaithSocket,
  type FaithSocketDestination,
} from '../../index.js'

/** A command that a client has run. */
export interface Command {
  command: string
  /** What was dialled, where the server knows. */
  destination?: FaithSocketDestination
}

// Node's own key: of those that ssh2 makes it cannot read each again.
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
  channel.write(`you said ${command}, to ${destination?.address ?? 'somebody'}\n`)
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
