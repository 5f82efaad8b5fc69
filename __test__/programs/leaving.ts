/**
 * Ends captured connections in order and then leaves: leaving.ts HOW WHEN BYTES DRAIN SHORTCUT
 *
 * On port 80 each client gets BYTES. With WHEN `closed` the program leaves after the socket has closed, with `ended`
 * right after `end()`. With `spliced` the bytes come by a splice from a server, which has ended. The program leaves by
 * `faith.close()` (HOW is `close`; with DRAIN unless it is `-`), by running out of work (`rest`), by `process.exit()`
 * with a number (`exit 0`), or by an exception (`throw`).
 */
import { once } from 'node:events'
import { createFaithInterface, setKeepfaith, type FaithSocket } from '../../index.js'

const [how = '', when = '', bytes = '', drain = '', shortcut = ''] = process.argv.slice(2)

setKeepfaith(true)
const faith = await createFaithInterface({ shortcut: shortcut === 'shortcut' })
const listener = await faith.listen({ port: 80 })

async function serve(socket: FaithSocket): Promise<void> {
  socket.on('error', () => undefined)
  if (when === 'spliced') {
    await socket.spliceTo({ host: '198.51.100.2', port: 80, allowAny: true })
    return
  }
  socket.end(Buffer.alloc(Number(bytes), 'z'))
  if (when === 'ended') return
  socket.resume()
  await once(socket, 'close')
}

async function leave(): Promise<void> {
  if (how === 'close') {
    await faith.close(drain === '-' ? {} : { drainMs: Number(drain) })
    console.log('interface closed')
  } else if (how === 'rest') {
    await listener.close()
  } else if (how === 'throw') {
    setImmediate(() => {
      throw new Error('as told')
    })
  } else {
    process.exit(Number(how.split(' ')[1]))
  }
}

listener.once('connection', async (socket) => {
  await serve(socket)
  console.log('served')
  process.stdin.once('data', () => {
    process.stdin.destroy()
    void leave()
  })
})
console.log('listening')
