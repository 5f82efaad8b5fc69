/**
 * Completes a command line of faithctl or faithd. The shells' scripts run `faithctl __complete WORD…` with the words up
 * to the cursor, and offer what it prints: a word and its explanation on each line, or `:files` for the names of files.
 */
import { type Candidate, type Candidates, type Live, bare, fitting, placeOf } from './candidates.js'
import type { Argument, Command, Completes, Option } from './command.js'
import { GLOBAL_OPTIONS } from './command-options.js'
import { COMMANDS } from './command-table.js'
import { commandOf, Given, OPTIONS, optionsOf } from './parse.js'
import { printable } from './table.js'
import { socketPath } from './socket-path.js'

/** Completes the line whose words these are, and prints the candidates. */
export async function complete([program = '', ...line]: readonly string[]): Promise<string> {
  if (/(?:^|\/)faithd$/.test(program)) {
    const { completeFaithd } = await import('./complete-faithd.js')
    return written(completeFaithd(line))
  }
  const { liveWords } = await import('./live-words.js')
  return written(await completeFaithctl(line, liveWords))
}

function written(candidates: Candidates): string {
  if (candidates === 'files') return ':files\n'
  return candidates.map(({ word, help }) => `${printable(word)}\t${printable(help)}\n`).join('')
}

/** Gives the words that may come next on a line of faithctl. */
export async function completeFaithctl(line: readonly string[], live: Live): Promise<Candidates> {
  const place = placeOf(line, ALL)
  const { command, taken } = commandOf(place.words)
  const ask = async (completes: Completes | undefined): Promise<Candidates> => {
    if (completes === undefined) return []
    if (completes === 'file') return 'files'
    if (completes === 'command') return commandWords([])
    if (typeof completes !== 'string') return bare(completes)
    const values = [...place.values].map(([{ long }, value]) => [long, [value]] as const)
    return await live(completes, socketPath(new Given(new Map(values))))
  }
  // An option of one name may have other values with another command.
  const own = command === undefined ? GLOBAL_OPTIONS : optionsOf(command)
  if (place.takes !== undefined) {
    const { long } = place.takes
    return fitting(
      await ask((own.find((option) => option.long === long) ?? place.takes).completes),
      place,
    )
  }
  if (place.begun.startsWith('-')) {
    const given = new Set([...place.given].map(({ long }) => long))
    const left = own.filter(({ long, repeats }) => repeats || !given.has(long))
    return fitting(
      left.map(({ long, help }) => ({ word: `--${long}`, help })),
      place,
    )
  }
  if (command === undefined) return fitting(commandWords(place.words), place)
  const words = place.words.slice(taken)
  if (command.name === 'help') return fitting(commandWords(words), place)
  const candidates = await ask(argumentAt(command, words.length)?.completes)
  if (candidates === 'files') return candidates
  return fitting(
    candidates.filter(({ word }) => !words.includes(word)),
    place,
  )
}

const ALL = [...OPTIONS.values()].map((option: Option) => ({
  names: [`--${option.long}`, ...(option.short === undefined ? [] : [`-${option.short}`])],
  takesWord: option.value !== undefined && !option.optional,
  long: option.long,
  completes: option.completes,
}))

/** Gives the argument that a word would be. */
function argumentAt({ arguments: taken }: Command, at: number): Argument | undefined {
  const last = taken.at(-1)
  return taken[at] ?? (last?.repeats ? last : undefined)
}

/** Gives the words that go on with the first words of a command. */
function commandWords(words: readonly string[]): Candidate[] {
  const begun = words.map((word) => `${word} `).join('')
  const candidates = new Map<string, Candidate>()
  for (const { name, help } of COMMANDS) {
    if (!name.startsWith(begun)) continue
    const [word = '', more] = name.slice(begun.length).split(' ')
    const known = candidates.get(word)
    // A word that several commands begin with is explained by their second words.
    const second = known === undefined ? `${word}: ${more}` : `${known.help}, ${more}`
    candidates.set(word, { word, help: more === undefined ? help : second })
  }
  return [...candidates.values()]
}
