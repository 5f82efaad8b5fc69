/** Runs the package as `npm install` puts it into a project, in a router: its library, and its command. */
import test from 'ava'
import { addresses, captured, createLab } from '../../lab/index.js'
import { Project } from '../fixtures/installed.js'
import { permitted } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'

const [lab, project] = await Promise.all([createLab(), Project.create('by name')])
test.after.always(async () => {
  await lab.close()
  project.remove()
})

const client = Sockets.of(lab.client)

test.serial('a listener of a program serves a connection', async (t) => {
  const source = `
    import { createFaithInterface, setKeepfaith } from 'faithd'
    setKeepfaith(true)
    const faith = await createFaithInterface()
    process.once('SIGTERM', () => faith.close())
    const listener = await faith.listen({ port: 80 })
    listener.on('connection', (socket) => socket.end('for ' + socket.destination.ipv4))
    console.log('ready')`
  const program = lab.router.spawn(process.execPath, [project.file('program.mjs', source)])
  // Stops the program even after a failure: the next test needs its interface.
  t.teardown(() => program.stop())
  await program.line(/^ready$/)
  const connection = await client.connect(captured(), 80)
  await connection.hears(`for ${addresses.server}`)
  connection.ends()
  t.like(await program.stop(), { code: 0 })
})

test.serial('faithd relays a connection', async (t) => {
  const listening = await Sockets.of(lab.server).listen(7, { greet: 'from the server' })
  const faithd = lab.router.spawn(project.modules('.bin/faithd'), ['-k', ...permitted])
  await faithd.line(/\bcaptures\b/)
  const connection = await client.connect(captured(), 7)
  await connection.hears('from the server')
  connection.says('from the client')
  const accepted = await listening.accept()
  await accepted.hears('from the client')
  connection.ends()
  accepted.ends()
  t.like(await faithd.stop(), { code: 0 })
})
