/** Completes a command line of faithd by its own table of options. */
import { isFlag, type Option, OPTIONS, shownName } from '../option-table.js'
import { INSTALL_OPTIONS } from '../install-service.js'
import { PREF64_OPTIONS } from '../pref64/command.js'
import { bare, type Candidates, fitting, placeOf } from './candidates.js'

const ALL = OPTIONS.map((option) => ({
  names: [
    `--${shownName(option)}`,
    ...(option.short === undefined ? [] : [`-${option.short}`]),
    ...(isFlag(option) ? [`--${option.long}`, `--no-${option.long}`] : []),
  ],
  takesWord: option.value !== undefined && option.alone === undefined,
  option,
}))

/** An option of a command of faithd. */
interface CommandOption {
  type: 'string' | 'boolean'
  short?: string
  multiple?: boolean
  value?: string
  help: string
}

/** The other commands of faithd, by their first word. */
const COMMANDS: Readonly<
  Record<string, { help: string; options: Readonly<Record<string, CommandOption>> }>
> = {
  'install-service': {
    help: 'write a unit of systemd for this installation',
    options: INSTALL_OPTIONS,
  },
  pref64: { help: 'print how another daemon advertises the prefix', options: PREF64_OPTIONS },
}

/** Gives the words that may come next on a line of faithd. */
export function completeFaithd(line: readonly string[]): Candidates {
  const [first = '', ...rest] = line
  const command = rest.length > 0 ? COMMANDS[first] : undefined
  if (command !== undefined) return completeCommand(command.options, rest)
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
  const commands = Object.entries(COMMANDS).map(([word, { help }]) => ({ word, help }))
  return fitting([...bare(['all']), ...(rest.length > 0 ? [] : commands)], place)
}

function completeCommand(
  options: Readonly<Record<string, CommandOption>>,
  line: readonly string[],
): Candidates {
  const all = Object.entries(options).map(([long, option]) => ({
    names: [`--${long}`, ...(option.short === undefined ? [] : [`-${option.short}`])],
    takesWord: option.type === 'string',
    option,
  }))
  const place = placeOf(line, all)
  if (place.takes !== undefined) return fittingValues(place.takes.option, place)
  const left = all.filter((each) => each.option.multiple === true || !place.given.has(each))
  return fitting(
    left.map(({ names: [word = ''], option }) => ({ word, help: option.help })),
    place,
  )
}

/** Gives the values of an option of a command: paths, or the words of `one|other`. */
function fittingValues({ value = '' }: CommandOption, place: Parameters<typeof fitting>[1]) {
  if (['FILE', 'FOLDER', 'PATH'].includes(value)) return 'files' as const
  return value.includes('|') ? fitting(bare(value.split('|')), place) : []
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
