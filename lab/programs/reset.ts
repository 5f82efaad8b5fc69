// Aborts a connection from either side and reports the event at the other side: an error's code, or "end" if the abort
// looked like an orderly end.
import { askReport, command, options, print } from './dial.js'
import { Reader } from './stream.js'

const target = options({ port: 7000 })
const session = `reset-${process.pid}-${Date.now()}`

async function byServer(): Promise<string | undefined> {
  const socket = await command(target, { do: 'abort' })
  const reader = new Reader(socket)
  await reader.line()
  socket.write('x')
  try {
    await reader.hash()
    return 'end'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

async function byClient(): Promise<string | undefined> {
  const socket = await command(target, { do: 'watch', session })
  await new Reader(socket).line()
  socket.resetAndDestroy()
  return (await askReport(target, session)).ended
}

print({ seenByClient: await byServer(), seenByServer: await byClient() })
