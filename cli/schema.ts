/** The schema of faithd.toml, made from the table of settings. */
import * as z from 'zod'
import { show } from '../lib/option-reader.js'
import { closest } from '../lib/spelling.js'
import { canonicalPorts, type Form, type Kind } from './kinds.js'
import { DNS64 } from './settings/dns64.js'
import { INTERFACE } from './settings/interface.js'
import { LOCAL } from './settings/local.js'
import { LOG } from './settings/log.js'
import { PREF64 } from './settings/pref64.js'
import { PROCESS } from './settings/process.js'
import { RELAY } from './settings/relay.js'
import type { Setting, Settings } from './settings/setting.js'

/** A complaint of the schema about one value. */
export interface Issue {
  path: readonly (string | number)[]
  message: string
  input?: unknown
}

let made: ReturnType<typeof makeSchema> | undefined

/** The schema of the whole file, made once, because that takes longer than to read a file by it. */
export function schemaOfFile() {
  made ??= makeSchema()
  return made
}

/** Makes the schema. Keys that a table leaves out have their defaults. */
function makeSchema() {
  const relay = z.strictObject(keysOf(RELAY), wrong('a table'))
  const relays = z
    .array(relay, wrong('[[interface.relay]], with two brackets'))
    .min(1, wrong('[[interface.relay]], once at least'))
    .prefault([{}])
    .describe('Relays of the interface, whose ports are disjoint; without any, one for every port.')
  const faith = z.strictObject({ ...keysOf(INTERFACE), relay: relays }, wrong('a table'))
  const interfaces = z
    .array(faith, { error: ({ input }) => noInterfaces(input) })
    .min(1, wrong('[[interface]], once at least'))
    .prefault([{}])
    .describe('Faith interfaces; without any, one that captures the well-known prefix.')
  const log = z.strictObject(keysOf(LOG), wrong('a table')).prefault({}).describe('The log.')
  const pref64 = z
    .strictObject(keysOf(PREF64), wrong('a table'))
    .prefault({})
    .describe('Router advertisements that tell hosts the prefixes (PREF64, RFC 8781).')
  const dns64 = z
    .strictObject(keysOf(DNS64), wrong('a table'))
    .prefault({})
    .describe('DNS server that gives clients addresses in the prefixes (DNS64, RFC 6147).')
  const local = z
    .array(z.strictObject(keysOf(LOCAL), wrong('a table')), wrong('[[local]], with two brackets'))
    .prefault([])
    .describe("Programs that serve connections to this host's own addresses, as by inetd(8).")
  return z
    .strictObject({ ...keysOf(PROCESS), log, pref64, dns64, local, interface: interfaces })
    .meta({
      title: 'faithd.toml',
      description: 'Configuration of faithd, the relay from IPv6 to IPv4.',
    })
}

/** The schema for editors, as JSON Schema. */
export function jsonSchema(): object {
  return z.toJSONSchema(schemaOfFile(), { io: 'input' })
}

function keysOf(settings: Settings): Record<string, z.ZodType> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, setting]) => [key, withDefault(setting)]),
  )
}

function withDefault({ kind, fallback, help, change }: Setting): z.ZodType {
  const description = `${help}. A change is in force ${change}.`
  const schema = typeOf(kind).meta({ description })
  return fallback === undefined ? schema.optional() : schema.prefault(fallback)
}

function typeOf(kind: Kind<unknown>): z.ZodType {
  const error = wrong(kind.is)
  const { form } = kind
  switch (form.type) {
    case 'flag':
      return z.boolean(error)
    case 'choice':
      return z.literal([...form.choices], { error: ({ input }) => notAmong(input, kind, form) })
    case 'number': {
      const { least, most, whole } = form
      return (whole ? z.int(error) : z.number(error)).min(least, error).max(most, error)
    }
    case 'text':
      return readBy(z.string(error).meta({ examples: [form.example] }), kind.read)
    case 'ports': {
      const one = z.union([z.string(), z.int()])
      return readBy(z.union([one, z.array(one)], error), (given) =>
        canonicalPorts([given].flat().map(String)),
      )
    }
    case 'list': {
      const several = z.array(typeOf(form.item), error)
      return form.orOne
        ? readBy(z.union([z.string(), several], error), (given) => [given].flat())
        : several
    }
  }
}

/** A schema whose values `read` turns into those that are kept. */
function readBy<T extends z.ZodType>(schema: T, read: (given: never) => unknown): z.ZodType {
  return schema.transform((given, context) => {
    try {
      return read(given as never)
    } catch (error) {
      context.issues.push({ code: 'custom', message: (error as Error).message, input: given })
      return z.NEVER
    }
  })
}

/** Tells a relay without its interface, which TOML reads as a table, from an interface with one bracket. */
function noInterfaces(input: unknown): string {
  const isOrphan =
    typeof input === 'object' && input !== null && 'relay' in input && Array.isArray(input.relay)
  return isOrphan && Object.keys(input).length === 1
    ? 'write a line [[interface]] above the first [[interface.relay]]'
    : `${show(input)} is not [[interface]], with two brackets`
}

function wrong(is: string) {
  return { error: ({ input }: { input?: unknown }) => `${show(input)} is not ${is}` }
}

function notAmong(input: unknown, { is }: Kind<unknown>, form: Form & { type: 'choice' }): string {
  const meant = typeof input === 'string' ? closest(input, form.choices.map(String)) : undefined
  return `${show(input)} is not ${is}${meant === undefined ? '' : `; did you mean '${meant}'?`}`
}
