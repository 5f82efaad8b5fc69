/** Completes a command line of faithd by its own table of options. */
import { isFlag, type Option, OPTIONS, shownName } from '../option-table.js'
import { bare, type Candidates, fitting, placeOf } from './candidates.js'

const ALL = OPTIONS.map((option) => ({
  names: [
    `--${shownName(option)}`,
    ...(option.short === undefined ? [] : [`-${option.short}`]),
    ...(isFlag(option) ? [`--${option.long}`, `--no-${option.long}`] : []),
  ],
  takesWord: option.value !== undefined,
  option,
}))

/** Gives the words that may come next on a line of faithd. */
export function completeFaithd(line: readonly string[]): Candidates {
  const place = placeOf(line, ALL)
  if (place.takes !== undefined) return fitting(valuesOf(place.takes.option), place)
  if (place.begun.startsWith('-')) {
    const left = ALL.filter((each) => isList(each.option) || !place.given.has(each))
    return fitting(
      left.map(({ names: [word = ''], option }) => ({ word, help: option.help })),
      place,
    )
  }
  return fitting(bare(place.words.length === 0 ? ['all'] : []), place)
}

function isList({ sets }: Option): boolean {
  return sets?.setting.kind.form.type === 'list'
}

/** Gives the legal values of an option, as far as they can be listed. */
function valuesOf({ sets, value = '' }: Option): Candidates {
  if (value === 'FILE' || value === 'PATH') return 'files'
  const form = sets?.setting.kind.form
  return bare(form?.type === 'choice' ? form.choices.map(String) : [])
}
