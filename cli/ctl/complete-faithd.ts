/** Completes a command line of faithd by its own table of options. */
import { isFlag, type Option, OPTIONS, shownName } from '../option-table.js'
import { bare, type Candidates, fitting, optionCandidates, placeOf } from './candidates.js'

const ALL = OPTIONS.map((option) => ({
  names: [
    `--${shownName(option)}`,
    ...(option.short === undefined ? [] : [`-${option.short}`]),
    ...(isFlag(option) ? [`--${option.long}`, `--no-${option.long}`] : []),
  ],
  takesWord: option.value !== undefined,
  repeats: option.sets?.setting.kind.form.type === 'list',
  help: option.help,
  option,
}))

/** Gives the words that may come next on a line of faithd. */
export function completeFaithd(line: readonly string[]): Candidates {
  const place = placeOf(line, ALL)
  if (place.takes !== undefined) return fitting(valuesOf(place.takes.option), place)
  if (place.begun.startsWith('-')) return fitting(optionCandidates(ALL, place), place)
  return fitting(bare(place.words.length === 0 ? ['all'] : []), place)
}

/** Gives the legal values of an option, as far as they can be listed. */
function valuesOf({ sets, value = '' }: Option): Candidates {
  if (value === 'FILE' || value === 'PATH') return 'files'
  const form = sets?.setting.kind.form
  return bare(form?.type === 'choice' ? form.choices.map(String) : [])
}
