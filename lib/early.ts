/**
 * Holds the events of an object until the program can have added its handlers. The addon may report events before the
 * program gets the object. They wait until one turn of the event loop after the object was made.
 */
export class Early<T> {
  #waiting: T[] | undefined = []
  #tell: (batch: T[]) => void = () => undefined

  /** Passes a batch on, or holds it. */
  readonly push = (batch: T[]): void => {
    if (this.#waiting === undefined) this.#tell(batch)
    else this.#waiting.push(...batch)
  }

  /** Passes the held batches on, and all later ones at once. */
  open(tell: (batch: T[]) => void): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    this.#tell = tell
    if (waiting.length > 0) tell(waiting)
  }
}
