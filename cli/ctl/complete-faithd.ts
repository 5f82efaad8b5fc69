/** Completes a command line of faithd by its own table of options. */
import { isFlag, type Option, OPTIONS, shownName } from '../option-table.js'
import { INSTALL_OPTIONS } from '../install-service.js'
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

/** Another command of faithd: its first word. */
const INSTALL = 'install-service'
const OF_INSTALL = Object.entries(INSTALL_OPTIONS).map(([long, option]) => ({
  names: [`--${long}`],
  takesWord: option.type === 'string',
  takesFolder: 'value' in option && option.value === 'FOLDER',
  help: option.help,
}))

/** Gives the words that may come next on a line of faithd. */
export function completeFaithd(line: readonly string[]): Candidates {
  if (line.length > 1 && line[0] === INSTALL) return completeInstall(line.slice(1))
  const place = placeOf(line, ALL)
  if (place.takes !== undefined) return fitting(valuesOf(place.takes.option), place)
  if (place.begun.startsWith('-')) {
    const left = ALL.filter((each) => isList(each.option) || !place.given.has(each))
    return fitting(
      left.map(({ names: [word = ''], option }) => ({ word, help: option.help })),
      place,
    )
  }
  if (place.words.length > 0) return []
  const command = { word: INSTALL, help: 'write a unit of systemd for this installation' }
  return fitting([...bare(['all']), ...(line.length > 1 ? [] : [command])], place)
}

function completeInstall(line: readonly string[]): Candidates {
  const place = placeOf(line, OF_INSTALL)
  if (place.takes !== undefined) return place.takes.takesFolder ? 'files' : []
  const left = OF_INSTALL.filter((each) => !place.given.has(each))
  return fitting(
    left.map(({ names: [word = ''], help }) => ({ word, help })),
    place,
  )
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
