/** Reports all faults of a configuration at once, each with its place. */
import { Exit, ExitError } from './exit.js'

/** One fault. */
export interface Complaint {
  /** The place of it: `/etc/faithd/faithd.toml:12:3: interface.relay.mtu`, or an option of the command line. */
  where?: string
  message: string
  /** Tells that the command line is to blame, not a file. */
  isUsage?: boolean
}

/** A configuration that cannot be used. Its message has a line for each complaint. */
export class ConfigurationError extends ExitError {
  override readonly name = 'ConfigurationError'

  constructor(complaints: readonly Complaint[]) {
    const isUsage = complaints.every((complaint) => complaint.isUsage === true)
    super(isUsage ? Exit.usage : Exit.config, inOrder(complaints).map(lineOf).join('\n'))
  }
}

/** Sorts complaints by their lines in the file; those about other files come last. */
function inOrder(complaints: readonly Complaint[]): Complaint[] {
  const place = ({ where }: Complaint): number[] =>
    where === undefined ? [Infinity] : (/:(\d+):(\d+)/.exec(where) ?? []).slice(1).map(Number)
  return complaints.toSorted((one, other) => {
    const [line = 0, column = 0] = place(one)
    const [otherLine = 0, otherColumn = 0] = place(other)
    return line === otherLine ? column - otherColumn : line - otherLine
  })
}

function lineOf({ where, message, isUsage = false }: Complaint): string {
  const line = where === undefined ? message : `${where}: ${message}`
  return isUsage ? `${line}; see faithd --help` : line
}
