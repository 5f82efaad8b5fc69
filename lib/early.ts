/**
 * What the addon tells about an object before its maker can listen to it. It waits until the event loop has turned once
 * more after the object was made, and the program that awaits it has added its listeners.
 */
export class Early<T> {
  #waiting: T[] | undefined = []
  #tell: (batch: T[]) => void = () => undefined

  /** Tells a batch, or has it wait. */
  readonly push = (batch: T[]): void => {
    if (this.#waiting === undefined) this.#tell(batch)
    else this.#waiting.push(...batch)
  }

  /** Tells what has waited, and from now on everything at once. */
  open(tell: (batch: T[]) => void): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    this.#tell = tell
    if (waiting.length > 0) tell(waiting)
  }
}
