/**
 * The examples of the README and of TSDoc: each compiles as a program of its own against the public API, under the
 * compiler's settings for this project, and what it says that it gives it gives. All of them run over the lab, in
 * net/documented-examples.spec.ts.
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

/** An example as a module: with the imports and declarations that its reader takes for granted. */
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

/** The examples as files that would stand beside index.ts, each named after its place. */
function modulesOf(list: readonly Example[]): Map<string, string> {
  return new Map(
    list.map(({ where, code }) => {
      const path = `${root}example-${where.replaceAll(/\W/g, '-')}.ts`
      return [path, asModule(code.replaceAll("'faithd'", "'./index.js'"), './index.js')]
    }),
  )
}

test('every example compiles', (t) => {
  t.true(examples.length >= 10, 'they are found')
  t.deepEqual(problems(modulesOf(examples)), [])
})

test('an example of what does not exist does not compile', (t) => {
  const wrong = [
    { where: 'a:1', code: 'await faith.listn({ port: 80 })' },
    { where: 'a:2', code: "embed('192.0.2.33')" },
    { where: 'a:3', code: 'console.log(nobody)' },
  ]
  t.is(problems(modulesOf(wrong)).length, wrong.length)
})

/** The statements that say what they give: `embed(…) // '64:ff9b::c000:221'`. */
const answered = examples.flatMap(({ where, code }) =>
  needs(code).length > 0
    ? []
    : [...code.matchAll(/^(\w+\(.*\)) \/\/ (.+)$/gm)].map(([, call = '', says = '']) => ({
        where,
        call,
        says,
      })),
)

test('what examples say they give is what they give', (t) => {
  t.true(answered.length >= 5, 'they are found')
  for (const { where, call, says } of answered) {
    const [gives, said] = runInNewContext(`[${call}, ${says}]`, { ...faithd }) as unknown[]
    t.is(gives, said, `${where}: ${call}`)
  }
})

/** What is exported as a type; a class that nobody is to make is among it. */
const types = new Set(
  Array.from(
    readFileSync(`${root}index.ts`, 'utf8').matchAll(/\btype (\w+)|export type \{([^}]*)\}/g),
    ([, one = '', several = '']) => `${one},${several}`.split(/[,\s]+/),
  ).flat(),
)

/** The functions of the public API, its classes and all their methods, each with the comment before it. */
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

/** Tells the implementation of overloads, which have the documents, from other methods. */
function isNoImplementation(method: ts.Node, _index: number, all: readonly ts.Node[]): boolean {
  if (!ts.isMethodDeclaration(method) || method.body === undefined) return true
  const name = method.name.getText()
  return !all.some((it) => ts.isMethodDeclaration(it) && !it.body && it.name.getText() === name)
}

/** Whether it is a method or a constructor that others can call. */
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
    // Servers of others have the first two, and `spliceTo` the last.
    ['FaithConnectionServer.emit', 'FaithInjectionServer.injectSocket', 'FaithSplice.abort'],
  )
})
