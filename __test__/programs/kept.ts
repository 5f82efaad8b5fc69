/** Objects that the driver keeps between two requests, by number. */
import type { EventEmitter } from 'node:events'

interface Kept {
  emitter: EventEmitter
  /** `error CODE` and `close`, in order. */
  events: string[]
  /** First arguments of the watched events, by event name. */
  told: Record<string, unknown[]>
}

/** A class, even one with a private constructor. */
interface Class<T> {
  readonly name: string
  readonly prototype: T
  [Symbol.hasInstance](value: unknown): boolean
}

const everything = new Map<number, Kept>()
let last = 0

/** Keeps an emitter, and records its `error` and `close` events. */
export function keep(emitter: EventEmitter): number {
  const events: string[] = []
  emitter.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    events.push(`error ${code ?? message}`)
  })
  emitter.on('close', () => events.push('close'))
  last += 1
  everything.set(last, { emitter, events, told: {} })
  return last
}

function kept(id: number): Kept {
  const found = everything.get(id)
  if (found === undefined) throw new Error(`there is no ${id}`)
  return found
}

/** The emitter of that number; throws if it is not a `type`. */
export function recall<T extends EventEmitter>(id: number, type: Class<T>): T {
  const { emitter } = kept(id)
  if (type[Symbol.hasInstance](emitter)) return emitter as T
  throw new Error(`${id} is no ${type.name}`)
}

/** Every emitter that is a `type`. */
export function all<T extends EventEmitter>(type: Class<T>): T[] {
  const emitters = [...everything.values()].map(({ emitter }) => emitter)
  return emitters.filter((emitter): emitter is T => type[Symbol.hasInstance](emitter))
}

/** The events `error CODE` and `close` of that emitter so far. */
export function happened(id: number): string[] {
  return kept(id).events
}

/** Records the first argument of these events from now on. */
export function watch(id: number, ...names: string[]): void {
  const { emitter, told: events } = kept(id)
  for (const name of names) {
    const noted: unknown[] = (events[name] = [])
    emitter.on(name, (what: unknown) => noted.push(what))
  }
}

/** Recorded arguments of that emitter's watched events so far. */
export function told(id: number): Record<string, unknown[]> {
  return kept(id).told
}
