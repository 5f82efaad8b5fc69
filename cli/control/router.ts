/** Finds the route of a request. */
import { ProblemError } from './problem.js'
import type { Method, Route } from './route.js'

interface Found {
  route: Route
  at: Record<string, string>
}

/**
 * Finds the route of a method and a path.
 *
 * @throws ProblemError 404 with the list of paths; 405 with the methods that the path has
 */
export function find(routes: readonly Route[], method: string, path: string): Found {
  const matching = routes.flatMap((route) => {
    const at = match(route.path, path)
    return at === undefined ? [] : [{ route, at }]
  })
  // The longest pattern decides, and of those of one length the one with the fewest parameters.
  const rank = ({ route, at }: Found): number =>
    route.path.split('/').length * 10 - Object.keys(at).length
  const best = Math.max(...matching.map(rank))
  const candidates = matching.filter((one) => rank(one) === best)
  const found = candidates.find(({ route }) => route.method === method)
  if (found !== undefined) return found
  if (candidates.length === 0) {
    const paths = [...new Set(routes.map((route) => route.path))]
    throw new ProblemError(
      404,
      `there is no ${JSON.stringify(path)}; there are ${paths.join(', ')}`,
    )
  }
  const methods = candidates.map<Method>(({ route }) => route.method).join(', ')
  throw new ProblemError(405, `${JSON.stringify(path)} has ${methods}, not ${method}`, {
    headers: { Allow: methods },
  })
}

/** Matches a path, and gives the values of its parameters. The last parameter may have slashes inside. */
function match(pattern: string, path: string): Record<string, string> | undefined {
  const names = pattern.slice(1).split('/')
  const parts = path.slice(1).split('/')
  const isOpen = names.at(-1)?.startsWith('{') === true
  if (isOpen && parts.length > names.length) {
    parts.push(parts.splice(names.length - 1).join('/'))
  }
  if (names.length !== parts.length) return undefined
  const at: Record<string, string> = {}
  for (const [index, name] of names.entries()) {
    const part = decoded(parts[index] ?? '')
    if (part === undefined || part === '') return undefined
    if (name.startsWith('{')) at[name.slice(1, -1)] = part
    else if (name !== part) return undefined
  }
  return at
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
