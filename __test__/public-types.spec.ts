import { readFileSync } from 'node:fs'
import test from 'ava'
import ts from 'typescript'

/** The report that `npm run lint` compares with index.ts: the declarations that users get. */
const report = readFileSync(new URL('../docs/faithd.api.md', import.meta.url), 'utf8')

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
  t.true(nodes(report).some(ts.isFunctionDeclaration), 'there are declarations')
  t.deepEqual(loose(report), [])
})

test('every public declaration is documented', (t) => {
  t.notRegex(report, /\(undocumented\)/)
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
