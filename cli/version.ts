import { readFileSync } from 'node:fs'

/** Gives the version of the package. */
export function version(): string {
  // The package's own name resolves from cli/ and from dist/cli/.
  const manifest = readFileSync(new URL(import.meta.resolve('faithd/package.json')), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
