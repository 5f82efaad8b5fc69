/**
 * The examples of the README and of TSDoc. Each compiles as a separate program against the public API, with this
 * project's compiler settings, and gives the values that its comments claim. net/documented-examples.spec.ts runs all
 * of them over the lab.
 */
import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import ts from 'typescript'
import * as faithd from '../index.js'
import {
  examples,
  given,
  leftOut,
  names,
  needs,
  root,
  sources,
  type Example,
} from './fixtures/documented.js'

/** An example as a module, with the imports and declarations that its reader takes for granted. */
function asModule(code: string, from: string): string {
  const declared = needs(code).map(
    (name) => `declare const ${name}: import('${from}').${given[name]}\n`,
  )
  return `${leftOut(code, from)}${declared.join('')}${code}\nexport {}\n`
}

function problems(modules: ReadonlyMap<string, string>): string[] {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [] }, ts.sys, root)
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  host.fileExists = (path) => modules.has(path) || fileExists(path)
  host.readFile = (path) => modules.get(path) ?? readFile(path)
  const program = ts.createProgram([...modules.keys()], options, host)
  return [...modules.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)
    if (file === undefined) return [`${path} was not compiled`]
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    )
  })
}

/** The examples as files beside index.ts, each named after its place. */
function modulesOf(list: readonly Example[]): Map<string, string> {
  return new Map(
    list.map(({ where, code }) => {
      const path = `${root}example-${where.replaceAll(/\W/g, '-')}.ts`
      const source = code
        .replaceAll("'faithd'", "'./index.js'")
        .replaceAll("'faithd/otel'", "'./lib/otel.js'")
      return [path, asModule(source, './index.js')]
    }),
  )
}

test('every example compiles', (t) => {
  t.true(examples.length >= 10, 'the examples are found')
  t.deepEqual(problems(modulesOf(examples)), [])
})

test('an example with an unknown name does not compile', (t) => {
  const wrong = [
    { where: 'a:1', code: 'await faith.listn({ port: 80 })' },
    { where: 'a:2', code: "embed('192.0.2.33')" },
    { where: 'a:3', code: 'console.log(unknownName)' },
  ]
  t.is(problems(modulesOf(wrong)).length, wrong.length)
})

/** Statements with a comment that gives their value: `embed(…) // '64:ff9b::c000:221'`. */
const answered = examples.flatMap(({ where, code }) =>
  needs(code).length > 0
    ? []
    : [...code.matchAll(/^(\w+\(.*\)) \/\/ (.+)$/gm)].map(([, call = '', says = '']) => ({
        where,
        call,
        says,
      })),
)

test('examples give the values that their comments claim', (t) => {
  t.true(answered.length >= 5, 'the examples are found')
  for (const { where, call, says } of answered) {
    const [gives, said] = runInNewContext(`[${call}, ${says}]`, { ...faithd }) as unknown[]
    t.is(gives, said, `${where}: ${call}`)
  }
})

/** Names exported as types, including classes without a public constructor. */
const types = new Set(
  Array.from(
    readFileSync(`${root}index.ts`, 'utf8').matchAll(/\btype (\w+)|export type \{([^}]*)\}/g),
    ([, one = '', several = '']) => `${one},${several}`.split(/[,\s]+/),
  ).flat(),
)

/** The functions of the public API, and its classes with all their methods, each with the comment before it. */
function documented(): { name: string; comment: string }[] {
  return sources.flatMap((path) => {
    const text = readFileSync(`${root}${path}`, 'utf8')
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
    const found = (name: string, node: ts.Node) => ({
      name,
      comment: text.slice(node.getFullStart(), node.getStart(file)),
    })
    return file.statements.flatMap((node) => {
      const isFunction = ts.isFunctionDeclaration(node)
      if (!isFunction && !ts.isClassDeclaration(node) && !ts.isInterfaceDeclaration(node)) return []
      const name = node.name?.text ?? ''
      if (!names.includes(name) && !types.has(name)) return []
      const methods = isFunction ? [] : node.members.filter(isCallable).filter(isNoImplementation)
      const itself = ts.isInterfaceDeclaration(node) ? [] : [found(name, node)]
      return [
        ...itself,
        ...methods.map((method) =>
          found(`${name}.${method.name?.getText(file) ?? 'constructor'}`, method),
        ),
      ].filter(({ comment }) => !comment.includes('@internal'))
    })
  })
}

/** False for the implementation of an overloaded method; the documentation belongs to the overloads. */
function isNoImplementation(method: ts.Node, _index: number, all: readonly ts.Node[]): boolean {
  if (!ts.isMethodDeclaration(method) || method.body === undefined) return true
  const name = method.name.getText()
  return !all.some((it) => ts.isMethodDeclaration(it) && !it.body && it.name.getText() === name)
}

/** True for a method or constructor that users can call. */
function isCallable(member: ts.Node): member is ts.ClassElement | ts.TypeElement {
  if (ts.isMethodSignature(member)) return true
  if (!ts.isMethodDeclaration(member) && !ts.isConstructorDeclaration(member)) return false
  if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return false
  return (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) === 0
}

test('every public function, class, constructor and method has an example', (t) => {
  const all = documented()
  t.true(all.length >= 45, 'they are found')
  const without = all.filter(({ comment }) => !comment.includes('```ts'))
  t.deepEqual(
    without.map(({ name }) => name),
    // Other libraries' servers have the first two; the results of `takePlace` and `spliceTo` have the others.
    [
      'FaithConnectionServer.emit',
      'FaithInjectionServer.injectSocket',
      'FaithPlace.release',
      'FaithSplice.abort',
    ],
  )
})
