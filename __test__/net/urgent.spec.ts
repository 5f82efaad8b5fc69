/** Urgent data, such as the interrupts of telnet and rlogin: it stays urgent and in its place. */
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'

const program = fileURLToPath(new URL('../programs/urgent.py', import.meta.url))
const MiB = 2 ** 20

let lab: Lab
let faithd: Faithd

test.before(async () => {
  lab = await createLab()
  faithd = await startFaithd(lab)
})

test.after.always(() => lab.close())

/** Data that an end has received by the end of the stream. */
interface Heard {
  bytes: number
  /** The first bytes, as Latin-1. */
  first: string
  sha256: string
  /** Offsets of the stream's marks, and the byte at each. */
  marks: [offset: number, byte: string][]
  /** Number of SIGURGs. */
  signals: number
}

/** One end of a connection; see programs/urgent.py for the orders. */
class End {
  readonly #process: LabProcess

  constructor(process: LabProcess) {
    this.#process = process
  }

  does(...orders: string[]): void {
    this.#process.stdin.write(orders.map((order) => `${order}\n`).join(''))
  }

  async line(pattern: RegExp): Promise<string> {
    return await this.#process.line(pattern)
  }

  /** Waits until exactly `text` has arrived since the beginning. */
  async hears(text: string): Promise<void> {
    const lines = () => this.#process.lines
    await waitFor(`${JSON.stringify(text)} to be heard`, () => {
      return lines().some((line) => line.startsWith('heard ') && JSON.parse(line.slice(6)) === text)
    })
  }

  /** SHA-256 of everything it sent. */
  async sent(): Promise<string> {
    return (await this.line(/^sent /)).slice(5)
  }

  /** Everything it received. Ends its own stream first. */
  async heard(): Promise<Heard> {
    this.does('end')
    return JSON.parse(await this.line(/^\{/)) as Heard
  }
}

let ports = 7500

/** An end at the server that waits for a connection. */
async function listen(...options: string[]) {
  ports += 1
  const port = ports
  const process = lab.server.spawn('python3', [program, ...options, 'listen', String(port)])
  await process.line(/^listening$/)
  return { end: new End(process), port }
}

const directions = ['from client to server', 'from server to client'] as const

/** The ends of a connection through faithd; both get `options`. */
async function connected(direction: (typeof directions)[number], ...options: string[]) {
  const { end: server, port } = await listen(...options)
  const dial = [program, ...options, 'dial', faithd.address(), String(port)]
  const client = new End(lab.client.spawn('python3', dial))
  await Promise.all([client.line(/^ready$/), server.line(/^ready$/)])
  const both = { client, server }
  return direction === 'from client to server'
    ? { ...both, sender: client, receiver: server }
    : { ...both, sender: server, receiver: client }
}

for (const direction of directions) {
  test(`an urgent byte ${direction} is marked in its place`, async (t) => {
    const { sender, receiver } = await connected(direction)
    sender.does('say before', 'urge !', 'say after', 'end')
    const { first, marks, signals } = await receiver.heard()
    t.is(first, 'before!after')
    t.deepEqual(marks, [[6, '!']])
    t.true(signals > 0)
  })

  test(`an urgent byte ${direction} can be the first byte`, async (t) => {
    const { sender, receiver } = await connected(direction)
    sender.does('urge !', 'say after', 'end')
    const { first, marks } = await receiver.heard()
    t.is(first, '!after')
    t.deepEqual(marks, [[0, '!']])
  })

  test(`an urgent byte ${direction} can be read outside the stream`, async (t) => {
    const { sender, receiver } = await connected(direction, '--out-of-band')
    sender.does('say before', 'urge !')
    await receiver.line(/^fetched !$/)
    sender.does('say after', 'end')
    const { first, signals } = await receiver.heard()
    t.is(first, 'beforeafter')
    t.true(signals > 0)
  })

  test(`every urgent byte ${direction} is marked if the one before was read`, async (t) => {
    const { sender, receiver } = await connected(direction)
    for (const [number, byte] of ['!', '?', '#', '*'].entries()) {
      sender.does('say text', `urge ${byte}`)
      await receiver.line(new RegExp(`^mark ${5 * number + 4}$`))
    }
    sender.does('end')
    const { first, marks } = await receiver.heard()
    t.is(first, 'text!text?text#text*')
    t.deepEqual(marks, [
      [4, '!'],
      [9, '?'],
      [14, '#'],
      [19, '*'],
    ])
  })

  test(`urgent bytes ${direction} that come together all arrive, and the last is marked`, async (t) => {
    const { sender, receiver } = await connected(direction)
    sender.does('say a', 'urge 1', 'urge 2', 'say b', 'urge 3', 'say c', 'end')
    const { first, marks } = await receiver.heard()
    t.is(first, 'a12b3c')
    // TCP has a single mark, so a later one may replace those before.
    const sent = [
      [1, '1'],
      [2, '2'],
      [4, '3'],
    ]
    t.deepEqual(marks.at(-1), [4, '3'])
    for (const mark of marks)
      t.true(
        sent.some((one) => `${one}` === `${mark}`),
        `${mark}`,
      )
  })

  // About the size of one read, and of one pipe, and more.
  for (const bytes of [1000, 16_384, 20_000, 65_536, 70_000, 300_000]) {
    test(`an urgent byte ${direction} is marked behind ${bytes} bytes`, async (t) => {
      const { sender, receiver } = await connected(direction)
      sender.does(`bulk ${bytes} 1`, 'urge !', `bulk ${bytes} 2`, 'end')
      const heard = await receiver.heard()
      t.like(heard, { bytes: 2 * bytes + 1, sha256: await sender.sent() })
      t.deepEqual(heard.marks, [[bytes, '!']])
    })
  }
}

test('urgent bytes within bulk both ways are marked, and no byte is lost', async (t) => {
  const { client, server } = await connected('from client to server')
  const half = 8 * MiB
  client.does(`bulk ${half} 1`, 'urge !', `bulk ${half} 2`, 'end')
  server.does(`bulk ${half} 3`, 'urge ?', `bulk ${half} 4`, 'end')
  const [up, down] = await Promise.all([server.heard(), client.heard()])
  t.like(up, { bytes: 2 * half + 1, sha256: await client.sent() })
  t.like(down, { bytes: 2 * half + 1, sha256: await server.sent() })
  t.deepEqual(up.marks, [[half, '!']])
  t.deepEqual(down.marks, [[half, '?']])
})

test('a telnet client interrupts a server, and synchronizes with it', async (t) => {
  const { end: server, port } = await listen()
  const telnet = lab.client.spawn('inetutils-telnet', [faithd.address(), String(port)])
  await server.line(/^ready$/)
  const types = (text: string) => telnet.stdin.write(text)
  const prompt = '\u001d'
  types('hello\n')
  await server.hears('hello\r\n')
  types(`${prompt}send ip\n`)
  await server.hears('hello\r\n\xff\xf4')
  types(`${prompt}send synch\n`)
  await server.hears('hello\r\n\xff\xf4\xff\xf2')
  types('more\n')
  await server.hears('hello\r\n\xff\xf4\xff\xf2more\r\n')
  types(`${prompt}quit\n`)
  const { marks, signals } = await server.heard()
  // telnets since 4.2BSD put the mark at IAC, one byte before DM.
  t.deepEqual(marks, [[9, '\xff']])
  t.true(signals > 0)
})
