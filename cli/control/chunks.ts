/** Answers that are made piece by piece, so that neither their making nor a slow reader stops faithd. */
import { setImmediate } from 'node:timers/promises'

/** The text of an answer in pieces. The next piece is made when the reader has taken those before. */
export class Chunks {
  readonly texts: AsyncIterator<string>

  constructor(texts: AsyncIterator<string>) {
    this.texts = texts
  }
}

/** Items per piece. A piece takes the event loop about a millisecond. */
const BATCH = 256

/** Gives the items of a JSON array, without its brackets, a batch to a piece. */
export async function* jsonItems<T>(
  items: Iterable<T>,
  bodyOf: (item: T) => unknown,
): AsyncGenerator<string> {
  let piece = ''
  let count = 0
  for (const item of items) {
    piece += (count === 0 ? '' : ',') + JSON.stringify(bodyOf(item))
    count += 1
    if (count % BATCH !== 0) continue
    yield piece
    piece = ''
    await setImmediate()
  }
  yield piece
}
