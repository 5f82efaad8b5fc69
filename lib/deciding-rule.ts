/** The rule of an access list that decides about a connection. */
import type { NativeRule } from './native.js'

/**
 * The rule that decides.
 *
 * @group Access lists
 */
export interface FaithDecidingRule {
  /** The rule in the grammar of faithd.conf(5). */
  text: string
  /** The line of the rule, counted from 1; in an array, the number of the rule. */
  line?: number
  /**
   * The `file` that {@link matchAccessList} was given, or the one that a comment `#line 1 "FILE"` above the rule names: a
   * list made of several files has one before each.
   */
  file?: string
}

/** @internal Gives a rule of the addon its public shape. */
export function toDecidingRule({ text, line, file }: NativeRule): FaithDecidingRule {
  const rule: FaithDecidingRule = { text }
  if (line !== undefined) rule.line = line
  if (file !== undefined) rule.file = file
  return rule
}
