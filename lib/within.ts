/** Gives a function of the program a time limit and a signal, as questions of the addon need both. */

/** @internal An object that the program gets as a question. Its `signal` is aborted when no answer is needed any more. */
export class Asked {
  /** Made when the program reads `signal`. Most do not, and it costs as much as all the rest. */
  #controller: AbortController | undefined
  #reason: Error | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Aborts the signal. A static method, because the program has the object and must not see it. */
  static abort(asked: Asked, reason: Error): void {
    asked.#reason ??= reason
    asked.#controller?.abort(reason)
  }
}

/** @internal Waits for an answer. Throws, and aborts the signal, if none has come after `limitMs` milliseconds. */
export async function withinLimit<T>(
  limitMs: number,
  asked: Asked,
  answer: () => Promise<T>,
): Promise<T> {
  const late = (): Error => {
    const error = new Error(`no answer within ${limitMs} ms`)
    Asked.abort(asked, error)
    return error
  }
  const began = performance.now()
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), limitMs).unref()
  })
  try {
    const given = await Promise.race([answer(), over])
    // A function that blocks the event loop keeps the timer from firing.
    if (performance.now() - began > limitMs) throw late()
    return given
  } finally {
    clearTimeout(timer)
  }
}
