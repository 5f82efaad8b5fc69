/**
 * The examples of the README and of TSDoc: each compiles as a program of its own against the public API, under the
 * compiler's settings for this project, and those that need no interface run.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import ts from 'typescript'
import * as faithd from '../index.js'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Example {
  where: string
  code: string
}

/** The blocks of TypeScript in a file, those of comments without their stars. */
function examplesOf(file: string): Example[] {
  const text = readFileSync(`${root}${file}`, 'utf8')
  return [...text.matchAll(/^( *(?:\* )?)```ts\n([\s\S]*?)^ *(?:\* )?```$/gm)].map((block) => ({
    where: `${file}:${text.slice(0, block.index).split('\n').length}`,
    code: (block[2] ?? '').replaceAll(/^ *\*(?: |$)/gm, ''),
  }))
}

const sources = readdirSync(`${root}lib`).map((name) => `lib/${name}`)
const examples = ['README.md', ...sources].flatMap(examplesOf)

/** What an example may use without having made it. */
const given: Record<string, string> = {
  faith: 'FaithInterface',
  listener: 'FaithListener',
  relay: 'FaithRelay',
  socket: 'FaithSocket',
}

const names = Object.keys(faithd)
const uses = (code: string, name: string) => new RegExp(`\\b${name}\\b`).test(code)
const makes = (code: string, name: string) => new RegExp(`\\b(?:const|using) ${name}\\b`).test(code)

/** The names of `given` that an example uses and does not make. */
function needs(code: string): string[] {
  return Object.keys(given).filter((name) => uses(code, name) && !makes(code, name))
}

/** An example as a module: with the imports and declarations that its reader takes for granted. */
function asModule(code: string, from: string): string {
  const imports = names.filter((name) => uses(code, name))
  const head = code.includes('import ') ? '' : `import { ${imports.join(', ')} } from '${from}'\n`
  const declared = needs(code).map(
    (name) => `declare const ${name}: import('${from}').${given[name]}\n`,
  )
  return `${head}${declared.join('')}${code}\nexport {}\n`
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

/** The functions of the public API, its classes and their methods, each with the comment before it. */
function documented(): { name: string; comment: string }[] {
  return sources.flatMap((path) => {
    const text = readFileSync(`${root}${path}`, 'utf8')
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
    const found = (name: string, node: ts.Node) => ({
      name,
      comment: text.slice(node.getFullStart(), node.getStart(file)),
    })
    return file.statements.flatMap((node) => {
      if (!ts.isFunctionDeclaration(node) && !ts.isClassDeclaration(node)) return []
      const name = node.name?.text ?? ''
      if (!names.includes(name)) return []
      const members = ts.isClassDeclaration(node) ? node.members : []
      const methods = members.filter(
        (member) => ts.isMethodDeclaration(member) && ts.isIdentifier(member.name),
      )
      return [
        found(name, node),
        ...methods.map((method) => found(`${name}.${method.name?.getText(file)}`, method)),
      ].filter(({ comment }) => !comment.includes('@internal'))
    })
  })
}

test('every public function, class and method has an example', (t) => {
  const all = documented()
  t.true(all.length >= 25, 'they are found')
  const without = all.filter(({ comment }) => !comment.includes('```ts'))
  t.deepEqual(
    without.map(({ name }) => name),
    [],
  )
})
