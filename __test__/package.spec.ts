/** What `npm install faithd` brings is all there, and works from each kind of program. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

interface Manifest {
  name: string
  version: string
  license: string
  main: string
  bin: Record<string, string>
  engines: object
  dependencies: Record<string, string>
  napi: { targets: string[] }
}

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (...path: string[]): Manifest =>
  JSON.parse(readFileSync(join(root, ...path, 'package.json'), 'utf8')) as Manifest
const manifest = read()

/** A project that has the package, as npm packs it, and of its dependencies those that it declares. */
const project = mkdtempSync(join(tmpdir(), 'faithd-project-'))
const modules = join(project, 'node_modules')
const installed = join(modules, 'faithd')
test.after.always(() => rmSync(project, { recursive: true, force: true }))

/** Has npm pack the package of a folder, and unpacks it into another one. */
function unpack(folder: string, into: string): void {
  mkdirSync(into, { recursive: true })
  const options = ['--ignore-scripts', '--json', '--pack-destination', project]
  const packed = execFileSync('npm', ['pack', ...options], { cwd: folder, encoding: 'utf8' })
  const [{ filename } = { filename: '' }] = JSON.parse(packed) as { filename: string }[]
  execFileSync('tar', ['-xzf', join(project, filename), '-C', into, '--strip-components=1'])
}

test.before(() => {
  unpack(root, installed)
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "private": true }\n')
  // A registry is more than a test may need.
  for (const name of Object.keys(manifest.dependencies)) link(name)
})

function link(name: string): void {
  mkdirSync(join(modules, name, '..'), { recursive: true })
  symlinkSync(join(root, 'node_modules', name), join(modules, name))
}

/** What a program of the project prints. */
function run(file: string, source: string): string {
  writeFileSync(join(project, file), source)
  return execFileSync(process.execPath, [file], { cwd: project, encoding: 'utf8' }).trim()
}

test('it has what it runs by and what it says of itself, and no more', (t) => {
  const [addons, others] = [true, false].map((isAddon) =>
    readdirSync(installed)
      .filter((name) => /^faithd\.linux-.*\.node$/.test(name) === isAddon)
      .toSorted(),
  )
  t.not(addons?.length, 0)
  t.deepEqual(others, [
    'CHANGELOG.md',
    'LICENSE',
    'LICENSE-APACHE',
    'LICENSE-MIT',
    'README.md',
    'dist',
    'native.cjs',
    'native.d.cts',
    'package.json',
  ])
  t.deepEqual(readdirSync(join(installed, 'dist')).toSorted(), [
    'cli',
    'index.d.ts',
    'index.js',
    'lib',
  ])
})

test('a module imports it', (t) => {
  const source =
    "import { embed } from 'faithd'\nconsole.log(embed('192.0.2.33', '64:ff9b::/96'))\n"
  t.is(run('module.mjs', source), '64:ff9b::c000:221')
})

test('a CommonJS program requires it, and both have the same', (t) => {
  const source = `
    const faithd = require('faithd')
    import('faithd').then((module) => {
      const { name, version } = require('faithd/package.json')
      console.log(name, version, faithd.FaithError === module.FaithError)
      console.log(faithd.embed('192.0.2.33', '64:ff9b::/96'))
    })`
  t.is(run('program.cjs', source), `faithd ${manifest.version} true\n64:ff9b::c000:221`)
})

test('the command runs', (t) => {
  const command = join(installed, manifest.bin['faithd'] ?? '')
  t.notThrows(() => accessSync(command, constants.X_OK))
  const { stdout, status } = spawnSync(process.execPath, [command, '--version'], {
    encoding: 'utf8',
  })
  t.is(status, 0)
  t.true(stdout.includes(manifest.version), stdout)
})

/** What the compiler says of these files, as programs for Node, with the declarations of the package checked too. */
function complaints(files: Record<string, string>): string {
  for (const [name, source] of Object.entries(files)) writeFileSync(join(project, name), source)
  const typeRoots = [join(root, 'node_modules/@types')]
  const compilerOptions = { module: 'nodenext', target: 'es2022', noEmit: true, strict: true }
  const config = {
    compilerOptions: { ...compilerOptions, skipLibCheck: false, types: ['node'], typeRoots },
    files: Object.keys(files),
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config))
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  return spawnSync(process.execPath, [tsc, '-p', '.'], { cwd: project, encoding: 'utf8' }).stdout
}

test.serial('TypeScript finds its types, imported and required', (t) => {
  const answered = "export const address: string = embed('192.0.2.33', '64:ff9b::/96')\n"
  const files = {
    'imports.mts': `
      import { createFaithInterface, embed, type FaithSocket } from 'faithd'
      ${answered}
      const faith = await createFaithInterface()
      const listener = await faith.listen({ port: 80 })
      listener.on('connection', (socket: FaithSocket) => {
        const ipv4: string | undefined = socket.destination.ipv4
        socket.end(ipv4 ?? 'nobody')
      })`,
    'imports.cts': `import { embed } from 'faithd'\n${answered}`,
    'requires.cts': `
      import faithd = require('faithd')
      const { embed } = faithd
      ${answered}`,
  }
  t.is(complaints(files), '')
})

test.serial('and holds programs to them', (t) => {
  const wrong = "export const address: number = embed('192.0.2.33', 96)\n"
  const said = complaints({
    'imports.mts': `import { embed } from 'faithd'\n${wrong}`,
    'requires.cts': `import faithd = require('faithd')\nconst { embed } = faithd\n${wrong}`,
  })
  t.regex(said, /^imports\.mts\(2,14\): error TS2322/m)
  t.regex(said, /^requires\.cts\(3,14\): error TS2322/m)
})

test('there is a package for the addon of every platform, which it looks for', (t) => {
  const loader = readFileSync(join(root, 'native.cjs'), 'utf8')
  const platforms = readdirSync(join(root, 'npm'))
  t.is(platforms.length, manifest.napi.targets.length)
  for (const platform of platforms) {
    const { name, version, license, engines, main } = read('npm', platform)
    t.like({ version, license, engines }, { version: manifest.version, license: manifest.license })
    t.deepEqual(engines, manifest.engines)
    t.is(main, `faithd.${platform}.node`)
    t.true(loader.includes(`require('${name}')`), name)
  }
})

test('each of them has the texts of its licences, word for word', (t) => {
  for (const platform of readdirSync(join(root, 'npm'))) {
    const unpacked = join(project, platform)
    unpack(join(root, 'npm', platform), unpacked)
    for (const text of ['LICENSE', 'LICENSE-APACHE', 'LICENSE-MIT']) {
      const [published, own] = [unpacked, root].map((folder) => readFileSync(join(folder, text)))
      t.deepEqual(published, own, `${platform}/${text}`)
    }
  }
})
