/** Errors that concern one client of a listener or a relay, which goes on. One client must not end the process. */
import type { EventEmitter } from 'node:events'

/** @internal Reports such errors as `error` events of one object, or as a process warning if no handler listens. */
export class ClientErrors {
  readonly #emitter: EventEmitter
  readonly #name: string
  #warned = false

  /** @param name - the kind of `emitter` in the warning: `relay` */
  constructor(emitter: object, name: string) {
    this.#emitter = emitter as EventEmitter
    this.#name = name
  }

  /** Emits the error. Without a handler, warns once, with the given text. */
  report(error: Error & { code?: string }, text: string = error.message): void {
    // In a tick of its own, so that an error thrown by a handler is an uncaught exception, as usual.
    process.nextTick(() => {
      if (this.#emitter.listenerCount('error') > 0) {
        this.#emitter.emit('error', error)
      } else if (!this.#warned) {
        this.#warned = true
        const detail = `Shown once per ${this.#name}: listen to its 'error' event to get each of them.`
        process.emitWarning(text, { type: 'FaithWarning', code: error.code, detail })
      }
    })
  }
}
