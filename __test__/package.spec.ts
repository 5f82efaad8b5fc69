/** The installed package is complete, and works from each kind of program. */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { root } from '../scripts/steps.mjs'
import { targets } from '../npm/targets.mjs'
import { Project, manifestOf, published, temporary } from './fixtures/installed.js'

const execute = promisify(execFile)
const manifest = manifestOf(root)

const [project, fromTarball] = await Promise.all([
  Project.create('by name'),
  Project.create('by tarball'),
])
test.after.always(() => {
  project.remove()
  fromTarball.remove()
})

/** Prints a result of the package, and the paths of the loaded addons. */
const embeds = `
  import { readFileSync } from 'node:fs'
  import { embed } from 'faithd'
  const address = embed('192.0.2.33', '64:ff9b::/96')
  const mapped = readFileSync('/proc/self/maps', 'utf8').match(/\\/.*\\.node$/gm)
  for (const line of [address, ...new Set(mapped)]) console.log(line)`

/** The platforms' packages that a project has. */
function platformPackages(of: Project): string[] {
  return readdirSync(of.modules()).filter((name) => name.startsWith('faithd-'))
}

test('a module can import it, and gets the addon from the only package for this platform', async (t) => {
  const packages = platformPackages(project)
  t.is(packages.length, 1, packages.join())
  const [name = ''] = packages
  const addon = project.modules(name, manifestOf(project.modules(name)).main)
  t.is(await project.run('module.mjs', embeds), `64:ff9b::c000:221\n${addon}`)
})

test('the tarball of a checkout needs no platform package', async (t) => {
  t.deepEqual(platformPackages(fromTarball), [])
  const [address, ...addons] = (await fromTarball.run('module.mjs', embeds)).split('\n')
  t.is(address, '64:ff9b::c000:221')
  t.deepEqual(addons.map(dirname), [fromTarball.modules('faithd')])
})

test('the package contains what it runs and documents, and nothing else', (t) => {
  const installed = readdirSync(fromTarball.modules('faithd')).toSorted()
  const addons = installed.filter((name) => /^faithd\.linux-.*\.node$/.test(name))
  t.not(addons.length, 0)
  const expected = [
    'CHANGELOG.md',
    'LICENSE',
    'LICENSE-APACHE',
    'LICENSE-MIT',
    'README.md',
    'bench',
    'dist',
    'docs',
    'examples',
    'man',
    'native.d.cts',
    'package.json',
    'packaging',
  ]
  t.deepEqual(
    installed.filter((name) => !addons.includes(name)),
    expected,
  )
  t.deepEqual(readdirSync(project.modules('faithd')).toSorted(), expected)
  t.deepEqual(readdirSync(project.modules('faithd', 'dist')).toSorted(), [
    'cli',
    'index.d.ts',
    'index.js',
    'lib',
  ])
})

/** Where the project is on GitHub, and how its documents name a file there. */
const repository = 'https://github.com/faithd/faithd'
const tree = `${repository}/blob/main/`

test('npm shows where the project is', (t) => {
  t.like(manifest, {
    repository: { type: 'git', url: `git+${repository}.git` },
    homepage: `${repository}#readme`,
    bugs: `${repository}/issues`,
  })
})

test('documents link to files of the package, and by full address to files of the repository alone', (t) => {
  const packed = fromTarball.modules('faithd')
  const documents = readdirSync(packed, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.md'),
  )
  t.true(documents.includes('README.md') && documents.includes('docs/developers.md'))
  const broken = documents.flatMap((document) =>
    [...readFileSync(join(packed, document), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
      .map(([, link = '']) => ({ document, link }))
      .filter(({ link }) => !leads(packed, document, link)),
  )
  t.deepEqual(broken, [])
})

/** Tells if a link of a packed document leads somewhere. Addresses of others are not looked up. */
function leads(packed: string, document: string, link: string): boolean {
  if (!link.startsWith('https:')) return existsSync(join(packed, dirname(document), link))
  if (!link.startsWith(repository)) return true
  const file = link.slice(tree.length)
  return link.startsWith(tree) && existsSync(join(root, file)) && !existsSync(join(packed, file))
}

test('the package has no dependencies, and contains the licences of the packages bundled into its command', async (t) => {
  t.false('dependencies' in manifestOf(fromTarball.modules('faithd')))
  const path = fromTarball.modules('faithd', 'dist', 'cli', 'LICENSES-OF-BUNDLED-PACKAGES.txt')
  const texts = readFileSync(path, 'utf8')
  for (const name of ['toml-eslint-parser', 'zod']) {
    t.regex(texts, new RegExp(`^${name} \\d.*\\(MIT\\)\\n\\n.*?Copyright`, 'ms'))
  }
  t.regex(
    await fromTarball.command('faithd', '--print-config', '-c', '/dev/null'),
    /^\[\[interface\]\]$/m,
  )
})

test('a CommonJS program can require it, and gets the same objects', async (t) => {
  const source = `
    const faithd = require('faithd')
    import('faithd').then((module) => {
      const { name, version } = require('faithd/package.json')
      console.log(name, version, faithd.FaithError === module.FaithError)
      console.log(faithd.embed('192.0.2.33', '64:ff9b::/96'))
    })`
  const printed = await project.run('program.cjs', source)
  t.is(printed, `faithd ${manifest.version} true\n64:ff9b::c000:221`)
})

test('faithd/otel asks for the package of OpenTelemetry, and nothing else of faithd does', async (t) => {
  t.is(existsSync(project.modules('@opentelemetry')), false)
  const source = `await import('faithd'); import('faithd/otel').catch(({ message }) => console.log(message))`
  const printed = await project.run('without-otel.mjs', source)
  t.regex(printed, /^Cannot find package '@opentelemetry\/api' imported from .*otel\.js$/)
})

test('with the package of OpenTelemetry, faithd/otel works and has types', async (t) => {
  symlinkSync(join(root, 'node_modules/@opentelemetry'), fromTarball.modules('@opentelemetry'))
  const source = `
    import { instrument } from 'faithd/otel'
    const stop: () => void = instrument({})
    stop()
    // @ts-expect-error
    instrument({ tracer: 'mine' })`
  const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true }
  const files = [fromTarball.file('otel.mts', source)]
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const config = fromTarball.file('otel.json', JSON.stringify({ compilerOptions, files }))
  const complaints = await execute(process.execPath, [tsc, '-p', config]).catch(
    ({ stdout }: { stdout: string }) => stdout,
  )
  t.deepEqual(complaints, { stdout: '', stderr: '' })
  const run = `import { instrument } from 'faithd/otel'; instrument()(); console.log('done')`
  t.is(await fromTarball.run('with-otel.mjs', run), 'done')
})

test('the commands run from npm’s bin folder', async (t) => {
  t.is(await project.command('faithctl', '--version'), `faithctl ${manifest.version}\n`)
  t.is(await project.command('faithd', '--version'), `faithd ${manifest.version}\n`)
  t.is(await project.npx('faithd', '--version'), `faithd ${manifest.version}\n`)
  t.regex(await project.command('faithd', '--help'), /^Usage: faithd .*--keepfaith/ms)
})

/** Programs that use its types, with one line each that must not compile. */
const programs = {
  'imports.mts': `
    import { createFaithInterface, embed, type FaithSocket } from 'faithd'
    export const address: string = embed('192.0.2.33', '64:ff9b::/96')
    const faith = await createFaithInterface()
    const listener = await faith.listen({ port: 80 })
    listener.on('connection', (socket: FaithSocket) => {
      const ipv4: string | undefined = socket.destination.ipv4
      socket.end(ipv4 ?? 'unknown')
    })
    // @ts-expect-error
    embed('192.0.2.33', 96)`,
  'imports.cts': `
    import { embed } from 'faithd'
    export const address: string = embed('192.0.2.33', '64:ff9b::/96')
    // @ts-expect-error
    embed('192.0.2.33', 96)`,
  'requires.cts': `
    import faithd = require('faithd')
    const { embed } = faithd
    export const address: string = embed('192.0.2.33', '64:ff9b::/96')
    // @ts-expect-error
    embed('192.0.2.33', 96)`,
}
for (const [name, source] of Object.entries(programs)) project.file(name, source)

/** Compiler settings for Node, which also check the package's declarations, and for a bundler. */
const compilers = {
  node: { module: 'nodenext', skipLibCheck: false },
  bundler: { module: 'preserve', moduleResolution: 'bundler', skipLibCheck: true },
}
for (const [name, options] of Object.entries(compilers)) {
  test(`TypeScript finds its types for ${name}, imported and required`, async (t) => {
    const types = { types: ['node'], typeRoots: [join(root, 'node_modules/@types')] }
    const language = { target: 'es2022', lib: ['es2023'], strict: true, noEmit: true }
    const compilerOptions = { ...language, ...types, ...options }
    const config = { compilerOptions, files: Object.keys(programs) }
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
    const args = [tsc, '-p', project.file(`${name}.json`, JSON.stringify(config))]
    const complaints = await execute(process.execPath, args).catch(
      ({ stdout }: { stdout: string }) => stdout,
    )
    t.deepEqual(complaints, { stdout: '', stderr: '' })
  })
}

test('Node’s types come with the package, and need no entry in tsconfig', async (t) => {
  t.true(readdirSync(project.modules('@types')).includes('node'))
  const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true }
  const config = { compilerOptions: { ...compilerOptions, types: [] }, files: ['imports.mts'] }
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const args = [tsc, '-p', project.file('untold.json', JSON.stringify(config))]
  const complaints = await execute(process.execPath, args).catch(
    ({ stdout }: { stdout: string }) => stdout,
  )
  t.deepEqual(complaints, { stdout: '', stderr: '' })
})

test('every platform has a package with its licences, which the main package and the loader name', async (t) => {
  const into = temporary('faithd-platforms-')
  t.teardown(() => rmSync(into, { recursive: true }))
  const [main = '', ...folders] = await published(into)
  const { version, optionalDependencies = {} } = manifestOf(main)
  const [, prebuilt = ''] =
    /prebuilt = \[(.*?)\]/s.exec(readFileSync(join(root, 'dist/lib/native.js'), 'utf8')) ?? []
  const loaded = Array.from(prebuilt.matchAll(/'(.+?)'/g), ([, platform]) => platform)
  t.deepEqual(
    loaded,
    targets.map(({ platform }) => platform),
  )
  t.is(folders.length, targets.length)
  for (const [index, { platform, cpu, libc }] of targets.entries()) {
    const one = manifestOf(folders[index] ?? '')
    t.is(one.name, `faithd-${platform}`)
    t.like(one, { version, license: manifest.license, main: `faithd.${platform}.node` })
    t.deepEqual(
      [one.engines, one.os, one.cpu, one.libc],
      [manifest.engines, ['linux'], [cpu], [libc]],
    )
    t.is(optionalDependencies[one.name], version)
    for (const text of ['LICENSE', 'LICENSE-APACHE', 'LICENSE-MIT']) {
      const [packed, own] = [folders[index] ?? '', root].map((place) =>
        readFileSync(join(place, text)),
      )
      t.deepEqual(packed, own, `${one.name}/${text}`)
    }
  }
})
