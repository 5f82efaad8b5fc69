/** Tells where a value of a configuration was given: a place of the file, or an option of the command line. */
import type { Complaint } from './complaints.js'
import type { ConfigurationFile } from './configuration-file.js'
import { type Overrides, type Path, pathOf } from './configuration.js'

/** Gives the place of a value, as a {@link Complaint} has it. */
export type Origin = (path: Path) => Omit<Complaint, 'message'>

/** The origin of values of the file, if there is one, and of options that override it. */
export function originOf(file: ConfigurationFile | undefined, overrides: Overrides): Origin {
  const options = [...overrides].flatMap(([place, settings]) =>
    [...settings].map(([key, { by }]) => ({ path: pathOf(place, key), by })),
  )
  return (path) => {
    const option = options.find((one) => one.path.every((step, index) => path[index] === step))
    if (option === undefined) {
      return file === undefined ? { isUsage: true } : { where: file.placeOf(path) }
    }
    const [, key, index] = path.slice(-3)
    const isRule = key === 'rules' && typeof index === 'number'
    return { where: isRule ? `command line:${index + 1}` : option.by, isUsage: true }
  }
}
