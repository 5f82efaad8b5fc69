import { readFileSync } from 'node:fs'
import test from 'ava'
import ts from 'typescript'

/** The reports that `npm run lint` compares with the sources: the declarations that users get. */
const [report = '', otel = ''] = ['faithd', 'faithd-otel'].map((name) =>
  readFileSync(new URL(`../docs/${name}.api.md`, import.meta.url), 'utf8'),
)

/** Every node of the declarations in a report, in order. */
function nodes(markdown: string): ts.Node[] {
  const [, declarations = ''] = /^```ts\n(.*)^```$/ms.exec(markdown) ?? []
  const file = ts.createSourceFile('faithd.d.ts', declarations, ts.ScriptTarget.ES2022, true)
  const found: ts.Node[] = []
  const visit = (node: ts.Node): void => {
    found.push(node)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

/** The declarations with an explicit or implicit `any`. */
function loose(markdown: string): string[] {
  return nodes(markdown)
    .filter((node) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) return true
      const typed =
        ts.isPropertySignature(node) || ts.isMethodSignature(node) || ts.isParameter(node)
      return typed && node.type === undefined
    })
    .map((node) => node.parent.getText())
}

test('no public type is any', (t) => {
  for (const one of [report, otel]) {
    t.true(nodes(one).some(ts.isFunctionDeclaration), 'there are declarations')
    t.deepEqual(loose(one), [])
  }
})

test('every public declaration is documented', (t) => {
  for (const one of [report, otel]) t.notRegex(one, /\(undocumented\)/)
})

test('an any is found at every place of a declaration', (t) => {
  for (const declaration of [
    'export function embed(ipv4: any): string;',
    'export function embed(ipv4): string;',
    'export type T = Record<string, readonly any[]>;',
    'export interface I { hint?: any }',
    'export interface I { hint }',
    'export class C { stats(): Promise<any> }',
  ]) {
    t.is(loose(`# API\n\n\`\`\`ts\n${declaration}\n\`\`\`\n`).length, 1, declaration)
  }
})
