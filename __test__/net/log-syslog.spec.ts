/** A log that goes to syslog: rsyslogd of Debian receives it over a Unix socket and over UDP. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { LoggingFaithd } from '../fixtures/logging-faithd.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

/** A message as rsyslogd shows it. */
interface Message {
  msg: string
  hostname: string
  'app-name': string
  procid: string
  msgid: string
  syslogfacility: string
  syslogseverity: string
  'structured-data': string
  'protocol-version': string
}

/** A rsyslogd in the router, with a socket and a port. */
class Rsyslogd {
  readonly socket: string
  readonly #folder: string
  readonly #lab: Lab
  #process: LabProcess | undefined

  constructor(in_: Lab, name: string) {
    this.#lab = in_
    this.#folder = join(in_.directory, name)
    this.socket = join(this.#folder, 'socket')
    mkdirSync(this.#folder)
  }

  async start(port: number): Promise<void> {
    const configuration = `
global(workDirectory="${this.#folder}")
main_queue(queue.size="200000")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="${this.socket}" UseSpecialParser="off" RateLimit.Interval="0")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="${port}")
template(name="all" type="list") { property(name="jsonmesg") constant(value="\\n") }
action(type="omfile" file="${join(this.#folder, 'out')}" template="all")
`
    writeFileSync(join(this.#folder, 'conf'), configuration)
    const args = ['-n', '-f', join(this.#folder, 'conf'), '-i', join(this.#folder, 'pid')]
    this.#process = this.#lab.router.spawn('rsyslogd', args)
    await waitFor('rsyslogd to listen', async () => {
      const { stdout } = await this.#lab.router.run('ss', ['-Hlun', `sport = :${port}`])
      return stdout.trim() !== '' && existsSync(this.socket)
    })
  }

  async stop(): Promise<void> {
    await this.#process?.stop('SIGTERM')
  }

  get messages(): Message[] {
    const file = join(this.#folder, 'out')
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Message)
  }
}

/** The parameters of an element of structured data. */
function element(message: Message | undefined, id: string): Record<string, string> {
  const data = message?.['structured-data'] ?? ''
  const [, text = ''] =
    new RegExp(`\\[${id}((?: [^=]+="(?:[^"\\\\\\]]|\\\\.)*")*)\\]`).exec(data) ?? []
  const params = text.matchAll(/ ([^=]+)="((?:[^"\\]|\\.)*)"/g)
  return Object.fromEntries(Array.from(params, ([, name = '', value = '']) => [name, value]))
}

for (const [way, port, place] of [
  ['a Unix socket', 5140, undefined],
  ['UDP', 5141, 'syslog:127.0.0.1:5141'],
] as const) {
  test(`rsyslogd gets every line by ${way}, with its facts as structured data`, async (t) => {
    const rsyslogd = new Rsyslogd(lab, `rsyslogd-${port}`)
    await rsyslogd.start(port)
    const log = ['--log-to', place ?? `syslog:${rsyslogd.socket}`, '--log-facility', 'local3']
    const faithd = await LoggingFaithd.start(lab, [...log, '--log-enterprise', '32473'])
    const sessions = 20
    await faithd.sessions(sessions)
    faithd.process.kill('SIGTERM')
    t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
    await waitFor('the last line', () =>
      rsyslogd.messages.some(({ msg }) => msg.startsWith(`ended: ${sessions} sessions`)),
    )
    const { messages } = rsyslogd
    const ended = messages.filter(({ msgid }) => msgid === 'session')
    t.is(ended.length, sessions)
    const [first] = ended
    t.like(first, {
      'protocol-version': '1',
      'app-name': 'faithd',
      procid: `${faithd.process.pid}`,
      syslogfacility: '19',
      syslogseverity: '6',
    })
    const facts = element(first, 'faithd@32473')
    t.like(facts, {
      destination: faithd.address.replace('198.51.100.2', 'c633:6402'),
      reason: 'closed',
    })
    t.regex(
      first?.msg ?? '',
      new RegExp(`^\\[${facts['client']}\\]:${facts['clientPort']} to .*, closed$`),
    )
    const numbers = messages.map((message) => Number(element(message, 'meta')['sequenceId']))
    t.deepEqual(
      numbers.toSorted((one, other) => one - other),
      numbers.map((_, index) => index + 1),
      'no message is missing',
    )
    await rsyslogd.stop()
  })
}

test('while syslogd is away connections go on, lines wait, and further ones are counted', async (t) => {
  const rsyslogd = new Rsyslogd(lab, 'away')
  const faithd = await LoggingFaithd.start(lab, ['--log-to', `syslog:${rsyslogd.socket}`])
  const sessions = 10_000
  await faithd.sessions(sessions)
  const [complaint] = faithd.process.lines
  t.regex(
    complaint ?? '',
    /^faithd: cannot write the log to syslog \(.*\): No such file or directory/,
  )
  await rsyslogd.start(5142)
  const account = () => {
    const { messages } = rsyslogd
    const lost = messages.map(({ msg }) => /^(\d+) lines? of this log w/.exec(msg)?.[1] ?? 0)
    const told = messages.filter(({ msgid }) => msgid === 'session').length
    return { told, lost: lost.reduce<number>((sum, each) => sum + Number(each), 0) }
  }
  await waitFor('all lines', () => account().told + account().lost >= sessions)
  const { told, lost } = account()
  t.is(told + lost, sessions)
  t.true(told > 100 && lost > 100, `${told} told, ${lost} lost`)

  await rsyslogd.stop()
  await rsyslogd.start(5142)
  await faithd.sessions(10)
  await waitFor('the lines after a restart', () => account().told === told + 10)
  await rsyslogd.stop()
  await faithd.sessions(10)
  faithd.process.kill('SIGTERM')
  t.deepEqual(
    await faithd.process.exited,
    { code: 0, signal: null },
    'the last lines have no reader',
  )
})
