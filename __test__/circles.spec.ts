/** `npm run lint` fails on files that import each other in a circle, and only then. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { circlesIn } from '../scripts/circles/tree.mjs'

const script = fileURLToPath(new URL('../scripts/circles.mjs', import.meta.url))

/** Makes a tree of files from paths and texts. */
function tree(t: ExecutionContext, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'faithd-circles-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

/** The files of each circle in a tree, without the crate's folder. */
function circlesOf(t: ExecutionContext, files: Record<string, string>): string[] {
  return circlesIn(tree(t, files)).map((circle) =>
    circle.files.join(' ').replaceAll('crates/one/src/', ''),
  )
}

/** A crate whose `lib.rs` declares these modules. */
function crate(modules: Record<string, string>, lib = ''): Record<string, string> {
  const names = Object.keys(modules).filter((path) => !path.includes('/'))
  const declared = names.map((path) => `mod ${path.replace('.rs', '')};`).join('\n')
  const files = Object.entries(modules).map(([path, text]) => [`crates/one/src/${path}`, text])
  return { 'crates/one/src/lib.rs': `${declared}\n${lib}\n`, ...Object.fromEntries(files) }
}

const circles: Record<string, Record<string, string>> = {
  'of use': { 'a.rs': 'use crate::b::B;\nstruct A;', 'b.rs': 'use crate::a::A;\nstruct B;' },
  'of grouped and renamed use': {
    'a.rs': 'use crate::{\n  b::{B as Other, C},\n};\nstruct A;',
    'b.rs': 'use std::{fmt, io};\nuse crate::a::{self};\nstruct B;',
  },
  'of a glob': { 'a.rs': 'use crate::b::*;', 'b.rs': 'use crate::a::A;' },
  'of paths in code': {
    'a.rs': 'fn a() { crate::b::b() }',
    'b.rs': 'fn b() -> crate::a::A { todo!() }',
  },
  'of a child and its parent': {
    'a.rs': 'mod c;\nuse c::C;\nstruct A;',
    'a/c.rs': 'use super::A;',
  },
  'of a child that its parent calls': {
    'a.rs': 'mod c;\nfn a() { c::c() }',
    'a/c.rs': 'use super::a;\npub fn c() {}',
  },
  'through a re-export': {
    'a.rs': 'use crate::B;',
    'b.rs': 'use crate::a::A;\npub struct B;',
  },
  'of an inline module': {
    'a.rs': 'use crate::b::B;',
    'b.rs': 'mod inner { use super::super::a::A; }\npub struct B;',
  },
}

for (const [name, modules] of Object.entries(circles)) {
  test(`a circle ${name} is found in a crate`, (t) => {
    const found = circlesOf(t, crate(modules, 'pub use b::B;'))
    t.deepEqual(found, [Object.keys(modules).join(' ')])
  })
}

test('a crate without circles passes', (t) => {
  const modules = {
    // Comments, strings and lifetimes are not imports.
    'a.rs': `use crate::{B, Root};
      //! See [\`c\`](crate::c::C), /* crate::c */ "
      const TEXT: &str = "use crate::c::C;";
      const RAW: &str = r#"" crate::c::C "#;
      fn a<'a>(quote: &'a char) -> bool { *quote == '"' }
      pub struct A;`,
    'b.rs': 'use std::fmt;\npub struct B;',
    'c.rs': 'use crate::a::A;\n#[cfg(test)]\nmod tests { use super::*; }\npub struct C;',
    'd/mod.rs': 'mod e;\npub struct D;',
    'd/e.rs': 'use super::D;\nuse other::a::A;',
  }
  t.deepEqual(circlesOf(t, crate(modules, 'pub use b::B;\npub struct Root;')), [])
})

test('crates with equal file names are kept apart', (t) => {
  const found = circlesOf(t, {
    ...crate({ 'a.rs': 'use crate::b::B;', 'b.rs': '' }),
    'crates/two/src/lib.rs': 'mod a;\nmod b;',
    'crates/two/src/a.rs': '',
    'crates/two/src/b.rs': 'use crate::a::A;',
  })
  t.deepEqual(found, [])
})

test('the check fails, and prints a circle as the shortest path, with the line of each import', (t) => {
  const root = tree(t, {
    'lib/a.ts': "// First.\nimport { b } from './b.js'\n",
    'lib/b.ts': "export { c } from './c.js'\nexport const b = 1\n",
    'lib/c.ts': "\n\nimport type { A } from './a.js'\nimport './d.js'\n",
    'lib/d.ts': "const later = import('./e.js')\n",
    'lib/e.ts': "import type { A } from './a.js'\n",
  })
  const { status, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' })
  t.is(status, 1)
  t.deepEqual(stderr.trimEnd().split('\n'), [
    '5 files import each other in a circle:',
    "  lib/a.ts:2 imports lib/b.ts ('./b.js')",
    "  lib/b.ts:1 imports lib/c.ts ('./c.js')",
    "  lib/c.ts:3 imports lib/a.ts ('./a.js')",
    '  and tied to these: lib/d.ts, lib/e.ts',
  ])
})

test('a circle through several folders is found', (t) => {
  const found = circlesOf(t, {
    'index.ts': "export * from './lib/a.js'\n",
    'lib/a.ts': "import { run } from '../cli/run.js'\n",
    'cli/run.ts': "import { a } from '../index.js'\n",
  })
  t.deepEqual(found, ['cli/run.ts index.ts lib/a.ts'])
})

test('TypeScript without circles passes', (t) => {
  const found = circlesOf(t, {
    'index.ts': "export * from './lib/a.js'\nexport * from './lib/b.js'\n",
    'lib/a.ts': "import { b } from './b.js'\n// import './c.js'\n",
    'lib/b.ts': 'const text = "import \'./a.js\'"\n',
    'lib/c.ts': "import { a } from './a.js'\nimport { readFileSync } from 'node:fs'\n",
  })
  t.deepEqual(found, [])
})
