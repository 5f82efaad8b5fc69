import test from 'ava'
import { createFaithInterface, FaithError, getKeepfaith, setKeepfaith } from '../index.js'

// The library refuses each of these before it asks the kernel, so they need no privileges.
const refused: [what: string, options: object, code: string, complaint: RegExp][] = [
  ['an option it does not have', { prefix: '64:ff9b::/96' }, 'ERR_FAITH_ARGUMENT', /`prefix`/],
  ['an MTU below 1280', { mtu: 1279 }, 'ERR_FAITH_ARGUMENT', /`mtu`.* 1279/],
  ['an unknown answer to UDP', { unsupported: 'ignore' }, 'ERR_FAITH_ARGUMENT', /'ignore'/],
  ['no workers', { workers: 0 }, 'ERR_FAITH_ARGUMENT', /`workers`/],
  ['an empty name', { name: '' }, 'ERR_FAITH_NAME', /not a legal interface name/],
  ['a name of 16 bytes', { name: 'faith-with-a-lot' }, 'ERR_FAITH_NAME', /faith-with-a-lot/],
  ['a name with a slash', { name: 'fa/ith' }, 'ERR_FAITH_NAME', /fa\/ith/],
  ['no prefixes', { prefixes: [] }, 'ERR_FAITH_PREFIX', /no prefix/],
  ['a prefix without a length', { prefixes: ['64:ff9b::'] }, 'ERR_FAITH_PREFIX', /64:ff9b::/],
  ['a prefix with a word as address', { prefixes: ['faith/96'] }, 'ERR_FAITH_PREFIX', /faith\/96/],
  ['a prefix of IPv4', { prefixes: ['10.0.0.0/8'] }, 'ERR_FAITH_PREFIX', /10\.0\.0\.0\/8/],
  ['a prefix of an illegal length', { prefixes: ['64:ff9b::/95'] }, 'ERR_FAITH_PREFIX', /\/95/],
  ['a prefix with host bits', { prefixes: ['64:ff9b::1/96'] }, 'ERR_FAITH_PREFIX', /host bits/],
  [
    'prefixes that overlap',
    { prefixes: ['2001:db8::/32', '2001:db8:64::/96'] },
    'ERR_FAITH_PREFIX',
    /overlaps 2001:db8::\/32/,
  ],
  [
    'a prefix that is there twice',
    { prefixes: ['64:ff9b::/96', '2001:db8::/32', '64:ff9b::/96'] },
    'ERR_FAITH_PREFIX',
    /`prefixes` has 64:ff9b::\/96 twice/,
  ],
]

for (const [what, options, code, complaint] of refused) {
  test(`createFaithInterface refuses ${what}`, async (t) => {
    const error = await t.throwsAsync(createFaithInterface(options), {
      instanceOf: FaithError,
      message: complaint,
    })
    t.is(error?.code, code)
  })
}

test('keepfaith is off at first, and can be switched', (t) => {
  t.false(getKeepfaith())
  setKeepfaith(true)
  t.true(getKeepfaith())
  setKeepfaith(false)
  t.false(getKeepfaith())
})

test('keepfaith takes a boolean and nothing else', (t) => {
  const error = t.throws(() => setKeepfaith(1 as never), { instanceOf: FaithError })
  t.is(error.code, 'ERR_FAITH_ARGUMENT')
  t.false(getKeepfaith())
})
