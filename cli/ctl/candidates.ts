/** A word that a shell offers, with its explanation. */
export interface Candidate {
  word: string
  help: string
}

/** The words that may come next; `files` leaves them to the shell. */
export type Candidates = readonly Candidate[] | 'files'

/** Gives words that only the daemon knows. */
export type Live = (kind: LiveKind, socket: string) => Promise<Candidate[]>
export type LiveKind = 'interface' | 'prefix' | 'session' | 'client'

/** Makes candidates that need no explanation. */
export function bare(words: readonly string[]): Candidate[] {
  return words.map((word) => ({ word, help: '' }))
}

/** An option as far as completion needs it. */
export interface Completable {
  /** Names with their dashes: `--watch`, `-w`. */
  names: readonly string[]
  /** The option takes the next word. */
  takesWord: boolean
}

/** The last word of a line, and the place that it has among the words before it. */
export interface Place<Option> {
  /** Words that are neither options nor their values. */
  words: readonly string[]
  given: ReadonlySet<Option>
  /** The values of the options that took one. */
  values: ReadonlyMap<Option, string>
  /** The option whose value the last word is. */
  takes?: Option
  /** The part of the last word before the value: `--state=`. */
  before: string
  /** The part of the last word that is to be completed. */
  begun: string
}

/** Finds the place of the last word of a line. */
export function placeOf<Option extends Completable>(
  line: readonly string[],
  options: readonly Option[],
): Place<Option> {
  const named = (name: string) => options.find(({ names }) => names.includes(name))
  const words: string[] = []
  const given = new Set<Option>()
  const values = new Map<Option, string>()
  let waiting: Option | undefined
  for (const word of line.slice(0, -1)) {
    const [name = '', ...rest] = word.split('=')
    const option = named(name)
    if (waiting !== undefined) {
      values.set(waiting, word)
      waiting = undefined
    } else if (option === undefined) {
      if (!word.startsWith('-')) words.push(word)
    } else {
      given.add(option)
      if (rest.length > 0) values.set(option, rest.join('='))
      else if (option.takesWord) waiting = option
    }
  }
  const last = line.at(-1) ?? ''
  const [, name = '', value = ''] = /^(--[^=]+)=(.*)$/s.exec(last) ?? []
  const inline = waiting === undefined ? named(name) : undefined
  const takes = waiting ?? inline
  return {
    words,
    given,
    values,
    ...(takes === undefined ? {} : { takes }),
    before: inline === undefined ? '' : `${name}=`,
    begun: inline === undefined ? last : value,
  }
}

/** Keeps the candidates that go on with what was begun. */
export function fitting<Option>(
  candidates: Candidates,
  { begun, before }: Place<Option>,
): Candidates {
  if (candidates === 'files') return candidates
  return candidates
    .filter(({ word }) => word.startsWith(begun))
    .map(({ word, help }) => ({ word: before + word, help }))
}
