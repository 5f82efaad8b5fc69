/** Where the addon could not start its threads, checkSupport() says so of everything that needs them. */
import test from 'ava'
import { checkSupport } from '../index.js'
import { native, type NativeFailure } from '../lib/native.js'

const { unready } = native
test.afterEach(() => Object.assign(native, { unready }))

const cases: [title: string, hint: string | undefined, expected: RegExp][] = [
  ['its hint', 'raise the limit of threads', /^raise the limit of threads$/],
  ['a hint, also for an errno without one', undefined, /\w+/],
]

for (const [title, hint, expected] of cases) {
  test.serial(`checks that an addon without threads could not make have ${title}`, async (t) => {
    const message = 'cannot start the threads of faithd: out of memory'
    const failure: NativeFailure = { failed: true, message, ...(hint && { hint }) }
    Object.assign(native, { unready: () => failure })
    const { ok, tun, ipv6, namespace, skLookup, shortcut } = await checkSupport()
    t.false(ok)
    for (const check of [tun, ipv6, namespace, skLookup, shortcut]) {
      t.false(check.ok)
      t.is(check.detail, message)
      t.regex(check.hint ?? '', expected)
    }
  })
}
