/** The shape of a command of faithctl, its arguments and its options. */

/** The words that a shell offers: a kind that only the daemon or the shell knows, or the words themselves. */
export type Completes =
  'command' | 'file' | 'interface' | 'prefix' | 'session' | 'client' | readonly string[]

export interface Option {
  long: string
  short?: string
  /** The name of the value in the help. A flag has none. */
  value?: string
  /** The value may be left out. */
  optional?: true
  repeats?: true
  help: string
  /** The default as the help shows it. */
  fallback?: string
  completes?: Completes
}

export interface Argument {
  name: string
  help: string
  optional?: true
  repeats?: true
  completes?: Completes
}

export interface Command {
  /** One word, or two: `interface create`. */
  name: string
  /** Its heading in the help. */
  group: string
  /** The line of the general help. */
  help: string
  /** Paragraphs of its own help. */
  about: readonly string[]
  arguments: readonly Argument[]
  options: readonly Option[]
  /** Command lines behind `faithctl`, with their effects. */
  examples: readonly (readonly [line: string, effect: string])[]
}

/** Gives a command as one types it, without options: `session ID`. */
export function synopsis({ name, arguments: taken }: Command): string {
  return [name, ...taken.map(argumentText)].join(' ')
}

function argumentText({ name, optional, repeats }: Argument): string {
  const text = repeats ? `${name}…` : name
  return optional ? `[${text}]` : text
}
