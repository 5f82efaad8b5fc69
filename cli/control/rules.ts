/** Rules of access lists, as the control interface shows them. */
import type { FaithDecidingRule } from '../../index.js'

/** Gives all rules of a list. */
export function* rulesOf(list: string): Generator<FaithDecidingRule> {
  let line = 0
  let file: string | undefined
  for (const written of list.split('\n')) {
    line += 1
    const begins = /^#line 1 "(.*)"$/.exec(written)?.[1]
    if (begins !== undefined) {
      file = begins
      line = 0
    }
    const text = written.replace(/#.*/, '').trim().replace(/\s+/g, ' ')
    if (text !== '') yield file === undefined ? { text, line } : { text, file, line }
  }
}
