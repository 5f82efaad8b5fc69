import type { AccessTest } from '../control/schemas.js'

export type Rule = NonNullable<AccessTest['rule']>

/** Writes a rule with its place. */
export function ruleText(rule: Rule): string {
  const place = placeOf(rule)
  return place === '' ? rule.text : `${rule.text} (${place})`
}

/** Gives the place of a rule: `/etc/faithd/faithd.conf:3`, or `rule 3` of the configuration. */
export function placeOf({ file, line }: Rule): string {
  if (file === undefined) return line === undefined ? '' : `rule ${line}`
  return line === undefined ? file : `${file}:${line}`
}
