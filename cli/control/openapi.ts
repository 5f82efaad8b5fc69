/** Makes the OpenAPI document of the control interface from its routes. */
import * as z from 'zod'
import type { Route } from './route.js'
import * as schemas from './schemas.js'

/** The version of the interface. It is that of its paths. */
const VERSION = '1'

/** The statuses that a request with a query or a body may have. */
const OF_QUERY = [400]
const OF_BODY = [400, 413, 422]

/** Makes the document. */
export function openapiDocument(routes: readonly Route[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const methods = (paths[route.path] ??= {})
    methods[route.method.toLowerCase()] = operationOf(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'faithd',
      version: VERSION,
      summary: 'Ask and steer a running faithd over its control socket',
      license: { name: 'MIT OR Apache-2.0', identifier: 'MIT OR Apache-2.0' },
    },
    servers: [{ url: 'http://faithd', description: 'The Unix socket of the setting `control`.' }],
    paths,
    components: { schemas: components() },
  }
}

function operationOf(route: Route): Record<string, unknown> {
  const {
    method,
    path,
    summary,
    query,
    body,
    answer,
    status = 200,
    type = 'application/json',
  } = route
  const parameters = [
    ...Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => pathParameter(name)),
    ...Object.entries(query ?? {}).map(queryParameter),
  ]
  const content = answer === undefined ? {} : { content: { [type]: { schema: schemaOf(answer) } } }
  return {
    operationId: operationId(method, path),
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(body) } },
          },
        }),
    responses: {
      [status]: { description: 'Success.', ...content },
      ...Object.fromEntries(statusesOf(route).map((code) => [code, PROBLEM])),
    },
  }
}

/** Gives the statuses of errors of a route. */
function statusesOf({ query, body, problems = [], method }: Route): number[] {
  const statuses = new Set<number>([
    ...problems,
    ...(query === undefined && body === undefined ? [] : OF_QUERY),
    ...(body === undefined ? [] : OF_BODY),
    // Any parameter that a path does not have is an error.
    400,
    ...(method === 'GET' ? [] : [503]),
  ])
  return [...statuses].toSorted((one, other) => one - other)
}

const PROBLEM = {
  description: 'An error, as RFC 9457 describes problems.',
  content: { 'application/problem+json': { schema: { $ref: referenceTo('problem') } } },
}

function pathParameter(name: string): object {
  const pattern = name === 'id' ? { pattern: '^[0-9]{1,15}-[0-9]{1,15}$' } : {}
  return { name, in: 'path', required: true, schema: { type: 'string', minLength: 1, ...pattern } }
}

function queryParameter([name, schema]: [string, z.ZodType]): object {
  const { $schema: _schema, description, ...rest } = z.toJSONSchema(schema, { io: 'input' })
  const required = !schema.safeParse(undefined).success
  return { name, in: 'query', required, ...(description && { description }), schema: rest }
}

function operationId(method: string, path: string): string {
  const words = path.replace(/^\/v1\//, '').split(/[^a-z]+/i)
  return [method.toLowerCase(), ...words.filter((word) => word !== '')].join('-')
}

/** Refers to a schema by its name. */
function schemaOf(schema: z.ZodType): object {
  const name = NAMES.get(schema)
  if (name !== undefined) return { $ref: referenceTo(name) }
  throw new Error('a schema of a route has no name in schemas.ts')
}

/** The schemas that have a name, by themselves. */
const NAMES: ReadonlyMap<unknown, string> = new Map(
  Object.entries(schemas).map(([name, schema]) => [schema, name]),
)

function referenceTo(name: string): string {
  return `#/components/schemas/${name}`
}

function components(): Record<string, object> {
  const registry = z.registry<{ id: string }>()
  for (const [name, schema] of Object.entries(schemas)) registry.add(schema, { id: name })
  const made = z.toJSONSchema(registry, { uri: referenceTo, io: 'input' }).schemas
  return Object.fromEntries(
    Object.entries(made).map(([name, { $schema: _schema, $id: _id, ...schema }]) => [name, schema]),
  )
}
