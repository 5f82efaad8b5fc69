/**
 * Lines of an FTP control connection, from bytes that come in any pieces.
 *
 * A line keeps its bytes as they came, because most lines are passed on unchanged. Lines are bounded: a longer one comes in
 * pieces that are passed on and never read as a command or a reply.
 */

/** Longest line that is read as a command or a reply, in bytes. Paths have at most 4096. */
export const LONGEST_LINE = 8192

/** One line, or a piece of one that is too long. */
export interface Line {
  /** The bytes, with the end of the line. */
  bytes: Buffer
  /** The text without telnet sequences and without the end of the line; `undefined` for a line that is too long. */
  text: string | undefined
}

const LF = 0x0a
const IAC = 0xff
/** The telnet commands that begin a negotiation and have an option (RFC 854). */
const WILL = 251
const WONT = 252
const DO = 253
const DONT = 254

/** Cuts a stream of bytes into lines. */
export class Lines {
  #rest: Buffer = Buffer.alloc(0)
  /** The place up to which the rest has no line feed. */
  #searched = 0
  /** True inside a line whose first piece was given already. */
  #isLong = false

  /** Adds the bytes that came next. */
  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
  }

  /** Takes the next whole line, or the next piece of one that is too long; `undefined` until more bytes come. */
  next(): Line | undefined {
    const end = this.#rest.indexOf(LF, this.#searched) + 1
    if (end === 0) {
      this.#searched = this.#rest.length
      return this.#rest.length > LONGEST_LINE ? this.#cut(this.#rest.length, true) : undefined
    }
    return this.#cut(end, this.#isLong || end > LONGEST_LINE, false)
  }

  /** Takes all bytes that are left. */
  rest(): Buffer {
    return this.#cut(this.#rest.length, true).bytes
  }

  #cut(end: number, isLong: boolean, isInside = isLong): Line {
    const bytes = this.#rest.subarray(0, end)
    this.#rest = this.#rest.subarray(end)
    this.#searched = 0
    this.#isLong = isInside
    return { bytes, text: isLong ? undefined : textOf(bytes) }
  }
}

/** The text of a line without telnet sequences and the end of the line. */
function textOf(line: Buffer): string {
  return withoutTelnet(line)
    .toString('latin1')
    .replace(/[\r\n\0]+$/, '')
}

function withoutTelnet(line: Buffer): Buffer {
  if (!line.includes(IAC)) return line
  const kept: number[] = []
  for (let at = 0; at < line.length; at += 1) {
    const byte = line[at] ?? 0
    if (byte !== IAC) kept.push(byte)
    else {
      at += 1
      const command = line[at] ?? 0
      if (command === IAC) kept.push(IAC)
      else if (command >= WILL && command <= DONT) at += 1
    }
  }
  return Buffer.from(kept)
}

/**
 * Refuses the options that a line negotiates (RFC 6384 section 5, RFC 1123 section 4.1.2.12): `line` is the line without
 * these sequences, and `refusal` the answer to its sender. Other telnet sequences, as of an interrupt, stay.
 */
export function refuseOptions(line: Buffer): { line: Buffer; refusal: Buffer } {
  const kept: Buffer[] = []
  const refusal: number[] = []
  let begin = 0
  for (let at = line.indexOf(IAC); at >= 0 && at + 2 < line.length; at = line.indexOf(IAC, at)) {
    const [command = 0, option = 0] = line.subarray(at + 1)
    if (command >= WILL && command <= DONT) {
      // The refusals WONT and DONT need no answer.
      if (command === WILL) refusal.push(IAC, DONT, option)
      else if (command === DO) refusal.push(IAC, WONT, option)
      kept.push(line.subarray(begin, at))
      begin = at + 3
    }
    at += command >= WILL && command <= DONT ? 3 : 2
  }
  if (begin === 0) return { line, refusal: Buffer.alloc(0) }
  return { line: Buffer.concat([...kept, line.subarray(begin)]), refusal: Buffer.from(refusal) }
}
