/** The routes of the control interface: a method, a path, what is asked and answered, and the work. */
import type * as z from 'zod'
import type { Daemon } from '../daemon.js'
import type { Chunks } from './chunks.js'
import type { ProcessFacts } from './snapshot.js'

/** The daemon, with the facts that it does not know itself. */
export interface Context {
  daemon: Daemon
  facts(): ProcessFacts
  /** Gives the metrics, in Prometheus's text format. */
  metrics(): Promise<string>
}

/** A request whose parameters and body were checked. */
export interface Asked<Query, Body> {
  /** The parameters of the path. */
  at: Readonly<Record<string, string>>
  query: Query
  body: Body
  /** Aborted when the client has gone. */
  signal: AbortSignal
}

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** The parameters of a query, by their names. */
export type Shape = Readonly<Record<string, z.ZodType>>

/** The values of such parameters. */
export type ValuesOf<S extends Shape> = { [Name in keyof S]: z.output<S[Name]> }

interface RouteOf<Query extends Shape, Body extends z.ZodType, Answer extends z.ZodType> {
  method: Method
  /** The path, with the names of its parameters in braces. The last one may have slashes inside. */
  path: string
  summary: string
  query?: Query
  body?: Body
  /** Absent for an answer without a body. */
  answer?: Answer
  /** The status of success. Default 200. */
  status?: number
  /** The content type of the answer. Default JSON. */
  type?: string
  /** The statuses of its errors, besides those that every route has. */
  problems?: readonly number[]
  work(
    context: Context,
    asked: Asked<ValuesOf<Query>, z.output<Body>>,
  ): Promise<z.input<Answer> | Chunks | void> | z.input<Answer> | Chunks | void
}

/** A route, whatever it asks and answers. */
export interface Route extends Omit<RouteOf<Shape, z.ZodType, z.ZodType>, 'work'> {
  work(context: Context, asked: Asked<never, never>): unknown
}

/** Makes a route. The compiler checks that its work fits what is asked and answered. */
export function route<
  Query extends Shape = Record<never, never>,
  Body extends z.ZodType = z.ZodUndefined,
  Answer extends z.ZodType = z.ZodVoid,
>(definition: RouteOf<Query, Body, Answer>): Route {
  return definition as unknown as Route
}
