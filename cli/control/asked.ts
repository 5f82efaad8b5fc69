/** Checks what a request asks: its query and its body, each by a schema. */
import * as z from 'zod'
import { closest } from '../../lib/spelling.js'
import { ProblemError } from './problem.js'
import type { Shape } from './route.js'

/** The largest body of a request, in bytes. */
export const MOST_BODY_BYTES = 64 * 1024

/**
 * Reads the parameters of a query.
 *
 * @throws ProblemError 400, which names the parameter and says what would be right
 */
export function readQuery(shape: Shape, given: URLSearchParams): Record<string, unknown> {
  const names = Object.keys(shape)
  for (const name of new Set(given.keys())) {
    if (!Object.hasOwn(shape, name)) throw new ProblemError(400, unknown(name, names))
    if (given.getAll(name).length > 1) {
      throw new ProblemError(400, `${name}: it is given twice, and has one value`)
    }
  }
  return Object.fromEntries(
    Object.entries(shape).map(([name, schema]) => {
      const { data, error } = schema.safeParse(valueOf(schema, given.get(name)))
      if (error === undefined) return [name, data]
      const isMissing = !given.has(name)
      const what = isMissing ? `it is missing` : error.issues[0]?.message
      throw new ProblemError(400, `${name}: ${what}`)
    }),
  )
}

/**
 * Reads a body.
 *
 * @throws ProblemError 400 for a text that is no JSON; 422 for JSON that does not fit
 */
export function readBody(schema: z.ZodType, text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ProblemError(400, `the body is no JSON: ${(error as Error).message}`)
  }
  const { data, error } = schema.safeParse(value)
  if (error === undefined) return data
  const issues = error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  )
  throw new ProblemError(422, `the body: ${issues.join('; ')}`)
}

const numbers = new WeakMap<z.ZodType, boolean>()

/** Gives a number where the schema is about one, and else the text. */
function valueOf(schema: z.ZodType, text: string | null): unknown {
  if (text === null) return undefined
  if (!numbers.has(schema)) {
    const { type } = z.toJSONSchema(schema, { io: 'input' })
    numbers.set(schema, type === 'integer' || type === 'number')
  }
  return numbers.get(schema) && /^-?\d{1,15}(\.\d{1,30})?$/.test(text) ? Number(text) : text
}

function unknown(name: string, names: readonly string[]): string {
  const there = names.length === 0 ? 'this path has none' : `there are ${names.join(', ')}`
  const meant = closest(name, names)
  const guess = meant === undefined ? '' : `did you mean ${meant}? `
  return `there is no parameter ${JSON.stringify(name)}; ${guess}${there}`
}
