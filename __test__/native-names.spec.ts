import { readFileSync } from 'node:fs'
import test from 'ava'
import { DROP_REASONS } from '../lib/drops.js'
import type { FaithResource } from '../index.js'

/** The names that a function `name` of the crates returns, in order. */
function namesIn(path: string): string[] {
  const text = readFileSync(new URL(`../crates/${path}`, import.meta.url), 'utf8')
  const [, names = ''] = /fn name\(self\) -> &'static str \{(.*?)\n {4}\}/s.exec(text) ?? []
  return Array.from(names.matchAll(/=> "(.+?)"/g), ([, name = '']) => name)
}

test('DROP_REASONS are the reasons that the addon counts by', (t) => {
  t.deepEqual(DROP_REASONS, namesIn('faith-packet/src/classify/reason.rs'))
})

test('the resources of `exhausted` are those that the addon names', (t) => {
  const resources: Record<FaithResource, true> = {
    descriptors: true,
    'host-descriptors': true,
    memory: true,
    'epoll-watches': true,
    'privileged-ports': true,
    ports: true,
    'local-address': true,
  }
  t.deepEqual(Object.keys(resources), [...namesIn('faith-sys/src/tcp.rs'), 'local-address'])
})
