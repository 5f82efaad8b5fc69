/**
 * The control connection of FTP between an IPv6 client and an IPv4 server, translated by RFC 6384. Pure: it takes lines of
 * either side, and gives the bytes for each and the data connections to prepare.
 *
 * Replies belong to commands by their order. So the translator notes each command that waits for its reply. It answers a
 * command itself by sending NOOP in its place, whose reply it replaces by its own (section 12): the order stays, also if
 * the client sends commands ahead.
 *
 * Commands that it does not know pass unchanged, and so do PASV and PORT of the client (section 10), LANG (section 5.1), and
 * their replies.
 */
import {
  canonical,
  type Named,
  readExtended,
  readLong,
  readPassive,
  writeLong,
  writePort,
} from './addresses.js'
import { type Line, refuseOptions } from './lines.js'

/** One step that the translator asks for. The steps of one line are in the order in which they must be done. */
export type Step =
  | { to: 'client' | 'server'; bytes: Buffer }
  /** Bytes for the server of which the one at this place is urgent. */
  | { to: 'server'; bytes: Buffer; urgent: number }
  /** The client will open a data connection to this port of the server. */
  | { expect: number }
  /**
   * The server is to open a data connection, which goes on to this address of the client. Answer it by
   * {@link Translator.listening} or {@link Translator.notListening}.
   */
  | { listen: Named }
  /** The server does not open the data connection for which the last `listen` asked. */
  | { unlisten: true }
  /** All further bytes of both sides pass unchanged, beginning with those that were not given yet. */
  | { transparent: true }

/** The ends of a control connection. */
export interface Ends {
  /** The client's IPv6 address. */
  client: string
  /** The IPv6 address that the client dialled. */
  destination: string
}

/** The commands that a reply can belong to. */
type Waiting =
  | { kind: 'other' | 'passive' | 'extended' | 'long' | 'port' | 'auth' }
  /** The reply is the translator's own. */
  | { kind: 'own'; reply: string }

/** A reply of which lines have come. */
interface Reply {
  code: string
  waiting: Waiting
  /** The port of a reply 227. */
  port: number | undefined
}

/** IAC IP and IAC DM of telnet (RFC 854). */
const INTERRUPT = Buffer.from([0xff, 0xf4])
const SYNCH = Buffer.from([0xff, 0xf2])

/** Commands that may wait for a reply. Further ones wait in the kernel, because a reply is found by its place alone. */
export const MOST_WAITING = 1000
const LF = 0x0a

/** Commands that pass unchanged, and whose replies matter. */
const UNCHANGED: Readonly<Record<string, 'passive' | 'auth'>> = { PASV: 'passive', AUTH: 'auth' }

/** Translates one control connection. */
export class Translator {
  readonly #ends: Ends
  #steps: Step[] = []
  /** The commands without a reply so far. The first reply is the server's greeting. */
  readonly #waiting: Waiting[] = [{ kind: 'other' }]
  #reply: Reply | undefined
  /** False after ALGS DISABLE64. */
  #isEnabled = true
  #isHeld = false

  constructor({ client, destination }: Ends) {
    this.#ends = { client: canonical(client), destination: canonical(destination) }
  }

  /** True while no further line of the client may be given. */
  get isHeld(): boolean {
    return this.#isHeld || this.#waiting.length >= MOST_WAITING
  }

  /** Takes a line of the client. */
  fromClient({ bytes, text }: Line): Step[] {
    const { line, refusal } = refuseOptions(bytes)
    if (refusal.length > 0) this.#send('client', refusal)
    const [, command = '', argument = ''] = /^\s*(\w+)\s*(.*?)\s*$/s.exec(text ?? '') ?? []
    if (!this.#translate(command.toUpperCase(), argument)) {
      if (command.toUpperCase() === 'ABOR') this.#interrupt(line)
      else this.#send('server', line)
      // Servers answer a line that they cannot read, too, and a long one when it ends.
      const isWhole = text === undefined ? bytes.at(-1) === LF : text.trim() !== ''
      if (isWhole) this.#await({ kind: UNCHANGED[command.toUpperCase()] ?? 'other' })
      // The reply to AUTH decides if this translator can read the rest, so further lines wait for it.
      this.#isHeld ||= this.#waiting.at(-1)?.kind === 'auth'
    }
    return this.#take()
  }

  /** Takes a line of the server. */
  fromServer({ bytes, text }: Line): Step[] {
    const { line, refusal } = refuseOptions(bytes)
    if (refusal.length > 0) this.#send('server', refusal)
    const [, code = '', mark = ''] = /^(\d{3})([ -]|$)/.exec(text ?? '') ?? []
    const reply = this.#reply ?? this.#begin(code)
    if (reply === undefined) this.#send('client', line)
    else {
      this.#reply = reply
      if (reply.code === '227') reply.port ??= readPassive(text ?? '')
      if (!isReplaced(reply)) this.#send('client', line)
      if (code === reply.code && mark !== '-') this.#end(reply)
    }
    return this.#take()
  }

  /** Says that the server can connect to this IPv4 address and port, for the last `listen`. */
  listening(address: string, port: number): Step[] {
    this.#isHeld = false
    this.#send('server', `PORT ${writePort(address, port)}`)
    this.#await({ kind: 'port' })
    return this.#take()
  }

  /** Says that the server cannot connect to the client, after the last `listen`. */
  notListening(): Step[] {
    this.#isHeld = false
    this.#answer('425 Cannot prepare a data connection')
    return this.#take()
  }

  /** Translates a command; `false` if it passes unchanged. */
  #translate(command: string, argument: string): boolean {
    switch (command) {
      case 'ALGS':
        this.#answer(this.#algs(argument.toUpperCase()))
        return true
      case 'EPSV':
        return this.#isEnabled && this.#extended(argument.toUpperCase())
      case 'LPSV':
        return this.#isEnabled && this.#passive('long')
      case 'EPRT':
        return this.#isEnabled && this.#active(readExtended(argument))
      case 'LPRT':
        return this.#isEnabled && this.#active(readLong(argument))
      default:
        return false
    }
  }

  /**
   * Sends ABOR as an interrupt of telnet: a server that waits for its client to take data hears nothing else (RFC 959,
   * ABOR). As the clients of BSD do, it marks IAC as urgent, not the data mark: servers that read urgent bytes apart then
   * keep the command whole.
   */
  #interrupt(line: Buffer): void {
    const urgent = line.lastIndexOf(SYNCH)
    if (urgent >= 0) this.#steps.push({ to: 'server', bytes: line, urgent })
    else
      this.#steps.push({ to: 'server', bytes: Buffer.concat([INTERRUPT, SYNCH, line]), urgent: 2 })
  }

  /** Answers ALGS, by which a client asks for the translation and changes it (section 11). */
  #algs(argument: string): string {
    if (argument === 'ENABLE64') this.#isEnabled = true
    else if (argument === 'DISABLE64') this.#isEnabled = false
    else if (argument !== 'STATUS64') return '504 Argument of ALGS not known'
    return this.#isEnabled ? '216 EPSVEPRT' : '216 NONE'
  }

  #extended(argument: string): true {
    if (argument === '' || argument === '2') return this.#passive('extended')
    if (argument === 'ALL') this.#answer('504 EPSV ALL is not possible behind this router')
    else this.#answer('522 Network protocol not supported, use (2)')
    return true
  }

  #passive(kind: 'extended' | 'long'): true {
    this.#await({ kind })
    this.#send('server', 'PASV')
    return true
  }

  /** Prepares the server's connection to the client; another address passes unchanged, for the server to judge (section 7). */
  #active(named: Named | undefined): boolean {
    if (named?.address !== this.#ends.client) return false
    this.#isHeld = true
    this.#steps.push({ listen: named })
    return true
  }

  /** Begins a reply; `undefined` if it is none, or belongs to no command. */
  #begin(code: string): Reply | undefined {
    // A preliminary reply is followed by another, and 421 may come at any time.
    if (code === '' || code.startsWith('1') || code === '421') {
      return code === '' ? undefined : { code, waiting: { kind: 'other' }, port: undefined }
    }
    if (code === '227') this.#skipToPassive()
    const waiting = this.#waiting.shift() ?? { kind: 'other' }
    return { code, waiting, port: undefined }
  }

  /** Forgets commands before the passive one to which a reply 227 belongs: the server has not answered them. */
  #skipToPassive(): void {
    const place = this.#waiting.findIndex(({ kind }) => isPassive(kind))
    if (place > 0) this.#waiting.splice(0, place)
  }

  /** Ends a reply, whose last line has come. */
  #end(reply: Reply): void {
    this.#reply = undefined
    const { waiting, code, port } = reply
    const isRefused = /^[45]/.test(code)
    switch (waiting.kind) {
      case 'own':
        this.#send('client', waiting.reply)
        break
      case 'extended':
      case 'long':
        if (code === '227') this.#passiveReply(waiting.kind, port)
        break
      case 'port':
        if (isRefused) this.#steps.push({ unlisten: true })
        break
      case 'auth':
        this.#isHeld = false
        if (!isRefused) this.#steps.push({ transparent: true })
        break
      default:
    }
  }

  #passiveReply(kind: 'extended' | 'long', port: number | undefined): void {
    if (port === undefined) return this.#send('client', '425 The server named no port')
    this.#steps.push({ expect: port })
    if (kind === 'extended') {
      this.#send('client', `229 Entering Extended Passive Mode (|||${port}|)`)
    } else {
      const address = writeLong(this.#ends.destination, port)
      this.#send('client', `228 Entering Long Passive Mode (${address})`)
    }
  }

  /** Answers a command in place of the server. */
  #answer(reply: string): void {
    this.#await({ kind: 'own', reply })
    this.#send('server', 'NOOP')
  }

  #await(waiting: Waiting): void {
    this.#waiting.push(waiting)
  }

  #send(to: 'client' | 'server', what: Buffer | string): void {
    const bytes = typeof what === 'string' ? Buffer.from(`${what}\r\n`, 'latin1') : what
    if (bytes.length > 0) this.#steps.push({ to, bytes })
  }

  #take(): Step[] {
    const steps = this.#steps
    this.#steps = []
    return steps
  }
}

/** Tells if the translator answers in place of the server's reply. */
function isReplaced({ code, waiting: { kind } }: Reply): boolean {
  return kind === 'own' || (code === '227' && (kind === 'extended' || kind === 'long'))
}

function isPassive(kind: Waiting['kind']): boolean {
  return kind === 'passive' || kind === 'extended' || kind === 'long'
}
