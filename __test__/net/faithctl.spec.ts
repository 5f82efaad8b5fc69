/** faithctl and a real faithd: its commands, and top in a terminal. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, createLab, waitFor } from '../../lab/index.js'
import { startControlled } from '../fixtures/control.js'
import { permitted } from '../fixtures/faithd.js'
import { Tmux } from '../fixtures/tmux.js'

const command = fileURLToPath(new URL('../../dist/cli/faithctl.js', import.meta.url))

const lab = await createLab()
await lab.server.echo({ port: 7 })
const { faithd, control } = await startControlled(lab)
test.after.always(() => lab.close())

/** Runs faithctl on the router. */
async function faithctl(...args: string[]) {
  return await lab.router.run(process.execPath, [command, '--control', control.path, ...args])
}

/** Runs faithctl, which must succeed, and gives what it prints. */
async function says(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await faithctl(...args)
  if (code !== 0) throw new Error(`faithctl ${args.join(' ')}: ${code}: ${stderr}`)
  return stdout
}

/** Opens a session that echoes, and waits until faithd lists it. Gives its number and the client's program. */
async function session() {
  const before = await ids()
  const client = lab.client.spawn('nc', [faithd.address(), '7'])
  client.stdin.write('hello\n')
  await client.line(/^hello$/)
  const id = await waitFor('the session', async () =>
    (await ids()).find((one) => !before.includes(one)),
  )
  return { id, client }
}

/** Starts a shell in a terminal. A line that is typed before its prompt would stand before the prompt. */
async function shell(
  words: readonly string[] = ['sh'],
  env: Readonly<Record<string, string>> = {},
) {
  const tmux = await Tmux.start(words, { env: { PS1: 'prompt$ ', ...env } })
  await tmux.shows(/^prompt\$/m)
  return tmux
}

async function ids(): Promise<string[]> {
  const { sessions } = JSON.parse(await says('sessions', '--json')) as {
    sessions: { id: string }[]
  }
  return sessions.map(({ id }) => id)
}

test.serial('status shows the interface and no other version', async (t) => {
  const { code, stdout, stderr } = await faithctl('status')
  t.is(code, 0)
  t.regex(stdout, /^faithd \d+\.\d+\.\d+, pid \d+, up /)
  t.true(stdout.includes(`\n${faithd.name}:\n`), stdout)
  t.is(stderr, '')
})

test.serial('a session is listed, explained, followed and ended', async (t) => {
  const { id, client } = await session()
  t.regex(
    await says('sessions', '--port', '7'),
    new RegExp(`^${id} .* ${addresses.server}:7 +open `, 'm'),
  )
  t.regex(await says('sessions', '--port', '8'), /^1 session, 0 of them chosen$/m)
  const explained = await says('session', id)
  t.regex(explained, /^state +ESTABLISHED +ESTABLISHED$/m)
  t.regex(explained, /^(Neither side is|The (client|server) is) slow/m)
  t.regex(explained, /^rule +\S+ permit 198\.51\.100\.0\/24/m)
  t.regex(await says('clients', '--sort', 'sessions'), /^2001:db8:1::\/64 +1 /m)

  const follow = ['sessions', '--follow', '--port', '7']
  const following = lab.router.node(command, ['--control', control.path, ...follow])
  // The daemon sends events from the time on when it has the reader.
  await waitFor('the reader of events', async () => {
    const other = await session()
    await says('abort', other.id)
    return following.stdout.includes(other.id)
  })
  t.is(await says('abort', id), 'ended 1 session\n')
  await following.line(new RegExp(`ended +${id} .*, aborted`))
  await client.exited
  t.is((await faithctl('session', id)).code, 69)
  for (const words of [
    ['session', 'abc'],
    ['abort', 'abc'],
  ]) {
    const wrong = await faithctl(...words)
    t.is(wrong.code, 64)
    t.regex(wrong.stderr, /"abc" is not the id of a session, such as 1-42$/m)
  }
  await following.stop()
})

test.serial('acl test names the rule of the command line, and 1 for what is denied', async (t) => {
  const permittedTo = await faithctl('acl', 'test', '2001:db8:1::2', `${addresses.server}:7`)
  t.is(permittedTo.code, 0)
  t.regex(permittedTo.stdout, /permitted\n(.*\n)* +rule +\S+ permit 198\.51\.100\.0\/24/)
  t.is((await faithctl('acl', 'test', '2001:db8:1::2', '10.0.0.1:7')).code, 1)
  t.regex(await says('acl', 'show'), /permit 198\.51\.100\.0\/24/)
})

test.serial('prefixes and interfaces come and go', async (t) => {
  await says('prefix', 'add', '3fff:aaaa::/96')
  t.regex(await says('prefix', 'list'), /3fff:aaaa::\/96/)
  await says('prefix', 'delete', '3fff:aaaa::/96')
  t.notRegex(await says('prefix', 'list'), /3fff:aaaa::\/96/)
  await says('interface', 'create', 'made0', '--prefix', '3fff:bbbb::/96', '--ports', 'ssh')
  t.regex(await says('interface', 'list'), /^made0 +3fff:bbbb::\/96 +22 +0 .* faithctl$/m)
  t.is((await faithctl('interface', 'create', 'made0', '-P', '3fff:cccc::/96')).code, 78)
  await says('interface', 'destroy', 'made0')
  t.notRegex(await says('interface', 'list'), /made0/)
})

test.serial(
  'a prefix that exists or overlaps another is a conflict, a wrong one a wrong value',
  async (t) => {
    for (const [prefix, code, why] of [
      [faithd.address('/96'), 78, /is there already$/m],
      [faithd.address('/64'), 78, /overlaps/],
      ['3fff:aaaa::1/96', 64, /3fff:aaaa::1\/96/],
      ['no-prefix', 64, /no-prefix/],
    ] as const) {
      const added = await faithctl('prefix', 'add', prefix)
      t.is(added.code, code, added.stderr)
      t.regex(added.stderr, why)
    }
  },
)

test.serial(
  'the end of the last prefix is a warning, and a problem until there is one again',
  async (t) => {
    const prefix = faithd.address('/96')
    await says('prefix', 'add', '3fff:aaaa::/96')
    t.is((await faithctl('prefix', 'delete', '3fff:aaaa::/96')).stderr, '')
    const { code, stderr } = await faithctl('prefix', 'delete', prefix)
    t.is(code, 0)
    t.regex(
      stderr,
      new RegExp(`it was the last prefix of ${faithd.name}, which captures nothing now`),
    )
    const nothing = `${faithd.name} has no prefix, so it captures nothing`
    await waitFor('the warning', () =>
      faithd.log.some(({ level, msg }) => level === 'warn' && msg === nothing),
    )
    t.true((await says('status')).includes(`problem: ${nothing}`))
    await says('prefix', 'add', prefix)
    t.false((await says('status')).includes(nothing))
  },
)

test.serial('keepfaith, log-level and drops answer', async (t) => {
  t.regex(await says('keepfaith', '0'), /^keepfaith is 0/)
  t.regex(await says('status'), /^problem: .*keepfaith/m)
  t.regex(await says('keepfaith', '1'), /^keepfaith is 1/)
  t.regex(await says('log-level', 'debug'), /^log level debug/)
  t.regex(await says('log-level', 'info'), /^log level info/)
  t.regex(await says('drops'), /^(INTERFACE +REASON|no packet was dropped)/)
})

test.serial(
  'top shows a session, drills into it, ends it after a question, and gives the terminal back',
  async (t) => {
    const { id, client } = await session()
    // A command that fits into one line, so that the screen can be told after the size has changed.
    const FAITHCTL = `${process.execPath} ${command} --control ${control.path}`
    await using tmux = await shell(['sh'], { FAITHCTL })
    await tmux.type('$FAITHCTL top --interval 0.3')
    await tmux.press('Enter')
    await tmux.shows(new RegExp(`^${id} .* ${addresses.server}:7 `, 'm'))
    t.is(await tmux.variable('alternate_on'), '1')
    t.is(await tmux.variable('cursor_flag'), '0')

    await tmux.press('Tab')
    await tmux.shows(/^2001:db8:1::\/64 +1 /m)
    await tmux.press('n')
    await tmux.shows(/clients by sessions /)
    await tmux.press('Enter')
    await tmux.shows(/^ 1 session of 2001:db8:1::\/64 by rate/m)
    await tmux.press('b')
    await tmux.shows(/by bytes /)
    await tmux.press('Enter')
    await tmux.shows(new RegExp(`^session ${id}: open`, 'm'))
    await tmux.shows(/slow/)
    await tmux.press('?')
    await tmux.shows(/^Keys of faithctl top$/m)
    await tmux.press('Escape')
    await tmux.resize(100, 30)
    await waitFor('the foot in the last row', async () =>
      (await tmux.screen()).split('\n')[29]?.trimEnd().endsWith('q quit'),
    )

    await tmux.press('x')
    await tmux.shows(new RegExp(`^ End session ${id} of .*y/n$`, 'm'))
    await tmux.press('n')
    await tmux.shows(/nothing was ended/)
    t.true((await ids()).includes(id))
    await tmux.press('x')
    await tmux.shows(/y\/n$/m)
    await tmux.press('y')
    await client.exited
    await waitFor('the end of the session', async () => !(await ids()).includes(id))

    await tmux.press('q')
    t.notRegex(await tmux.shows(/top --interval 0\.3\nprompt\$$/m), /B\/s/)
    t.is(await tmux.variable('alternate_on'), '0')
    t.is(await tmux.variable('cursor_flag'), '1')
  },
)

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test.serial(`top gives the terminal back when ${signal} ends it`, async (t) => {
    await using tmux = await shell()
    const pidFile = join(lab.directory, `top-${signal}.pid`)
    const top = `${process.execPath} ${command} --control ${control.path} top`
    await tmux.type(
      `sh -c 'echo $$ > ${pidFile}; exec ${top}'; echo code-$?; stty -a | grep -o ' -*icanon'`,
    )
    await tmux.press('Enter')
    await tmux.shows(/by rate/)
    await lab.router.run('sh', ['-c', `kill -${signal.slice(3)} $(cat ${pidFile})`])
    t.regex(await tmux.shows(/code-\d+\n +-?icanon/), new RegExp(`code-${code}\\n +icanon`))
    t.is(await tmux.variable('alternate_on'), '0')
    t.is(await tmux.variable('cursor_flag'), '1')
  })
}

test.serial('top is stopped by Ctrl-Z and goes on with fg', async (t) => {
  await using tmux = await shell(['bash', '--norc', '-i'])
  await tmux.type(`${process.execPath} ${command} --control ${control.path} top`)
  await tmux.press('Enter')
  await tmux.shows(/by rate/)
  await tmux.press('C-z')
  await tmux.shows(/Stopped[^]*^prompt\$/m)
  t.is(await tmux.variable('alternate_on'), '0')
  await tmux.type('fg')
  await tmux.press('Enter')
  await tmux.shows(/by rate/)
  t.is(await tmux.variable('alternate_on'), '1')
  await tmux.press('q')
  await tmux.shows(/prompt\$ fg/)
})

test.serial('abort on a terminal asks before it ends several sessions', async (t) => {
  const [one, other] = [await session(), await session()]
  await using tmux = await shell()
  const abort = `${process.execPath} ${command} --control ${control.path} abort -c 2001:db8:1::/64`
  await tmux.type(`${abort}; echo code-$?`)
  await tmux.press('Enter')
  await tmux.shows(/End 2 sessions\? \[y\/N\]/)
  await tmux.press('n', 'Enter')
  await tmux.shows(/code-1/)
  t.is((await ids()).length, 2)
  await tmux.type(`${abort}; echo code-$?`)
  await tmux.press('Enter')
  await tmux.shows(/\[y\/N\] $|\[y\/N\]$/m)
  await tmux.press('y', 'Enter')
  await tmux.shows(/ended 2 sessions/)
  await Promise.all([one.client.exited, other.client.exited])
})

test.serial('a daemon that ends while top runs is reported, and top goes on', async (t) => {
  const own = await startControlled(lab, permitted)
  await using tmux = await shell()
  const top = `${process.execPath} ${command} --control ${own.control.path} top --interval 0.3`
  await tmux.type(top)
  await tmux.press('Enter')
  await tmux.shows(/by rate/)
  await own.faithd.stop()
  await tmux.shows(/no daemon: /)
  t.is(await tmux.variable('alternate_on'), '1')
  await tmux.press('q')
  await waitFor('the terminal', async () => (await tmux.variable('alternate_on')) === '0')
})
