/** Explains an error of the system. */
import { getSystemErrorMap } from 'node:util'

/** Gives the text that errno(3) has for it, or else its message. */
export function reason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException
  return getSystemErrorMap().get(errno ?? 0)?.[1] ?? message
}
