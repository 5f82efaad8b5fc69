/**
 * Runs every example of the README, of the developers' guide and of TSDoc as its reader would paste it. No error stays
 * uncaught, and every client of a served port gets an answer, from the example or from the server behind it. Crowds of
 * clients that leave early leave no descriptor behind. The examples are found by search, so new ones run as well.
 */
import test from 'ava'
import ts from 'typescript'
import { examples } from '../fixtures/documented.js'
import { ExampleStage, keepsRunning, greeting, type Outcome } from '../fixtures/example-stage.js'

const [one, other, lonely] = await Promise.all([
  ExampleStage.create({ hasServers: true }),
  ExampleStage.create({ hasServers: true }),
  ExampleStage.create({ hasServers: false }),
])
test.after.always(() => Promise.all([one, other, lonely].map((stage) => stage.close())))

/** Texts that an example may send, as patterns; a placeholder matches anything. */
function textsOf(code: string): RegExp[] {
  const texts: RegExp[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) texts.push(pattern([node.text]))
    if (ts.isTemplateExpression(node)) {
      texts.push(
        pattern([node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)]),
      )
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('example.ts', code, ts.ScriptTarget.ES2022))
  return texts
}

function pattern(pieces: string[]): RegExp {
  const escaped = pieces.map((piece) => piece.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${escaped.join('(?!undefined)[^\\n]+')}$`)
}

/** The faults of an example's run. */
function faults(code: string, outcome: Outcome): string[] {
  const { stderr, lasted, endsItself, exit, leaks } = outcome
  const found: string[] = []
  const isWell = exit.code === 0 || (lasted && !endsItself && exit.signal === 'SIGTERM')
  if (!isWell) found.push(`ended with ${exit.signal ?? exit.code}`)
  if (keepsRunning(code) && !lasted) found.push('did not go on')
  if (/^Node\.js v|Warning:/m.test(stderr)) found.push('left an error uncaught')
  if (stderr !== '' && !/console\.(?:error|warn)/.test(code)) found.push('wrote to standard error')
  if (/\bundefined\b/.test(outcome.stdout)) found.push('printed undefined')
  for (const [port, left] of leaks) found.push(`port ${port} has leaked ${left} descriptors`)
  return found.length > 0 ? [...found, stderr, outcome.stdout] : []
}

/** Served ports without an answer, or with an unexpected one. */
function unanswered(code: string, { answers, failures }: Outcome): string[] {
  const texts = [...textsOf(code), pattern([greeting])]
  return [...answers]
    .filter(([, answer]) => !texts.some((text) => text.test(answer)))
    .filter(([, answer]) => answer !== '' || !code.includes('reject:'))
    .map(([port, answer]) =>
      [`port ${port} answered ${JSON.stringify(answer)}`, ...(failures.get(port) ?? [])].join('; '),
    )
}

for (const [index, { where, code }] of examples.entries()) {
  test(`${where} runs`, async (t) => {
    const outcome = await (index % 2 === 0 ? one : other).perform(code)
    t.deepEqual([...faults(code, outcome), ...unanswered(code, outcome)], [])
    if (![...outcome.answers.values()].includes(greeting)) return
    t.deepEqual(faults(code, await lonely.perform(code)), [], 'with servers that refuse')
  })
}

const leaking = `listener.on('connection', (socket) => {
  socket.on('error', () => socket.destroy())
  socket.end('goodbye\\n')
})`

test('an example that leaks a descriptor per client is found', async (t) => {
  const { leaks } = await one.perform(leaking)
  t.true((leaks.get(7001) ?? 0) >= 200)
})

const wrong = {
  'that rejects': "void Promise.reject(new Error('unheard'))",
  'that fails': 'const faith = await createFaithInterface()\nawait faith.listen({ port: 80 })',
  'with a server that may not refuse': `listener.on('connection', (socket) => {
  void socket.spliceTo({ host: '192.0.2.1', port: 80, allowAny: true })
})`,
}

for (const [what, code] of Object.entries(wrong)) {
  test(`an example ${what} is found`, async (t) => {
    t.not(faults(code, await lonely.perform(code)).length, 0)
  })
}

test('an example with an unexpected answer is found', async (t) => {
  const code = `listener.on('connection', (socket) => {
  socket.on('error', () => socket.destroy()).resume()
  socket.end(\`to \${socket.nothing}\\n\`)
})`
  const outcome = await one.perform(code)
  t.deepEqual(faults(code, outcome), [])
  t.deepEqual(unanswered(code, outcome), ['port 7001 answered "to undefined\\n"'])
})
