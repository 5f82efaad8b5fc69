/** The control connection of FTP as bytes: cuts them into lines, has these translated, and ends that when TLS begins. */
import { Lines } from './lines.js'
import { type Ends, type Step, Translator } from './translator.js'

/** One control connection. Each method gives the steps to be done next, in their order. */
export class Control {
  readonly #translator: Translator
  readonly #client = new Lines()
  readonly #server = new Lines()
  /** Nothing is left to translate. */
  #isTransparent = false

  constructor(ends: Ends) {
    this.#translator = new Translator(ends)
  }

  /** True while the client's bytes must wait: for the reply to AUTH, for a listener, or for too many replies. */
  get isHeld(): boolean {
    return this.#translator.isHeld
  }

  fromClient(bytes: Buffer): Step[] {
    this.#client.push(bytes)
    return this.#read()
  }

  fromServer(bytes: Buffer): Step[] {
    this.#server.push(bytes)
    return this.#read()
  }

  /** See {@link Translator.listening}. */
  listening(address: string, port: number): Step[] {
    return [...this.#translator.listening(address, port), ...this.#read()]
  }

  /** See {@link Translator.notListening}. */
  notListening(): Step[] {
    return [...this.#translator.notListening(), ...this.#read()]
  }

  /** Gives the bytes of the client's unfinished line, which passes as it is, because the client has ended. */
  clientEnded(): Step[] {
    return rest('server', this.#client)
  }

  /** Gives the bytes of the server's unfinished line, likewise. */
  serverEnded(): Step[] {
    return rest('client', this.#server)
  }

  /** Reads all lines that can be read. */
  #read(): Step[] {
    const steps: Step[] = []
    while (!this.#isTransparent) {
      const more = this.#readServer() ?? this.#readClient()
      if (more === undefined) return steps
      steps.push(...more)
      this.#isTransparent = more.some((step) => 'transparent' in step)
    }
    return [...steps, ...this.clientEnded(), ...this.serverEnded()]
  }

  #readServer(): Step[] | undefined {
    const line = this.#server.next()
    return line && this.#translator.fromServer(line)
  }

  #readClient(): Step[] | undefined {
    const line = this.#translator.isHeld ? undefined : this.#client.next()
    return line && this.#translator.fromClient(line)
  }
}

function rest(to: 'client' | 'server', lines: Lines): Step[] {
  const bytes = lines.rest()
  return bytes.length === 0 ? [] : [{ to, bytes }]
}
