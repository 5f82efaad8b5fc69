/** Every option of the command line: those of the settings, and those of the command itself. */
import type { Setting, Spelling } from './settings/setting.js'
import { type Place, TABLES } from './settings/tables.js'

/** An option of the command line that is no setting. */
export type Command = 'config' | 'check' | 'print-config' | 'inetd' | 'help' | 'version'

/** An option of the command line: a setting's, or the command's own. */
export interface Option extends Spelling {
  long: string
  group: string
  /** The setting; without, the option is about the command itself. */
  sets?: { place: Place; key: string; setting: Setting }
}

const own = (long: Command, group: string, help: string, more: Partial<Spelling> = {}): Option => ({
  long,
  group,
  help,
  read: (given) => given,
  ...more,
})

const FILE = 'Configuration file'

/** Every option, in the order of the help. A flag that is on by default is shown as the one that turns it off. */
export const OPTIONS: readonly Option[] = [
  ...optionsOf('process', ({ group }) => group === 'Capture'),
  ...optionsOf('interface'),
  ...optionsOf('relay'),
  ...optionsOf('pref64'),
  ...optionsOf('dns64'),
  own('config', FILE, 'configuration file', {
    short: 'c',
    value: 'FILE',
    fallback: '/etc/faithd/faithd.toml',
  }),
  own('check', FILE, 'validate the configuration, print it, and exit'),
  own('print-config', FILE, 'print the options as a configuration file, and exit'),
  ...optionsOf('log'),
  ...optionsOf('process', ({ group }) => group !== 'Capture'),
  own('inetd', 'Process', 'relay standard input, a connection, and exit'),
  own('help', 'Help', 'print this help', { short: 'h' }),
  own('version', 'Help', 'print the version', { short: 'V' }),
]

/** Options by their heading, in the order of the help. */
export const GROUPS: ReadonlyMap<string, readonly Option[]> = grouped()

function grouped(): Map<string, Option[]> {
  const groups = new Map<string, Option[]>()
  for (const option of OPTIONS) {
    groups.set(option.group, [...(groups.get(option.group) ?? []), option])
  }
  return groups
}

function optionsOf(place: Place, which: (setting: Setting) => boolean = () => true): Option[] {
  return Object.entries<Setting>(TABLES[place])
    .filter(([, setting]) => which(setting))
    .flatMap(([key, setting]) =>
      setting.options.map((option) => ({
        long: key,
        ...option,
        group: setting.group,
        sets: { place, key, setting },
      })),
    )
}

/** Tells if an option is a flag: it stands alone, and `--no-` before its name turns it off. */
export function isFlag({ sets }: Option): boolean {
  return sets?.setting.kind.form.type === 'flag'
}

/** The name by which an option changes its default: `no-routes` for `routes`, which is on. */
export function shownName(option: Option): string {
  return isFlag(option) && option.sets?.setting.fallback === true
    ? `no-${option.long}`
    : option.long
}
