import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { addresses, createLab } from '../../lab/index.js'
import type { Lab, NginxServer } from '../../lab/index.js'
import { startBoth, steerings } from '../fixtures/faithd.js'
import type { Faithd, Steering } from '../fixtures/faithd.js'

const pageSize = 48 * 2 ** 20
const page = randomBytes(pageSize)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

let lab: Lab
let nginx: NginxServer
let faithds: Record<Steering, Faithd>

test.before(async () => {
  lab = await createLab()
  ;[nginx] = await Promise.all([lab.server.nginx(), lab.server.sshd(), lab.server.echo()])
  writeFileSync(join(nginx.root, 'large'), page)
  faithds = await startBoth(lab)
})

test.after.always(() => lab.close())

interface Iperf3Report {
  error?: string
  end: Record<string, { bytes?: number }>
}

/** True if this process has the privileges for sk_lookup. */
function maySteer(): boolean {
  const [, , users] = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)
  const status = readFileSync('/proc/self/status', 'utf8')
  const capabilities = BigInt(`0x${/^CapEff:\s+(\w+)$/m.exec(status)?.[1]}`)
  // Checks CAP_SYS_ADMIN, which includes CAP_BPF. Both count only in the machine's own user namespace.
  return Number(users) === 2 ** 32 - 1 && (capabilities & (1n << 21n)) !== 0n
}

for (const [steering, too] of steerings) {
  const dialled = (ipv4?: string) => faithds[steering].address(ipv4)
  const url = (path: string, ipv4?: string) => `http://[${dialled(ipv4)}]${path}`

  test.serial(
    `curl fetches a page from nginx, which sees the router as its client${too}`,
    async (t) => {
      const { stdout, stderr } = await lab.client.run('curl', ['-sS', url('/whoami')])
      t.is(stdout, `${addresses.routerIPv4}\n`, stderr)
    },
  )

  test.serial(`each IPv4 address of the server has its own IPv6 address${too}`, async (t) => {
    for (const address of [addresses.server, addresses.serverSecond]) {
      const { stdout } = await lab.client.run('curl', ['-sSI', url('/large', address)])
      t.regex(stdout, new RegExp(`^Content-Length: ${pageSize}\\r$`, 'm'))
      const { destination } = await faithds[steering].session(
        ({ server }) => server?.address === address,
      )
      t.is(destination.port, 80)
    }
  })

  test.serial(`a large page arrives complete${too}`, async (t) => {
    const file = join(lab.directory, 'down')
    const fetched = await lab.client.run('curl', ['-sS', '-o', file, url('/large')])
    t.is(fetched.code, 0, fetched.stderr)
    t.is(sha256(readFileSync(file)), sha256(page))
  })

  test.serial(`a large upload arrives complete${too}`, async (t) => {
    const name = `from-${faithds[steering].name}`
    const file = join(lab.directory, name)
    writeFileSync(file, page)
    const stored = await lab.client.run('curl', ['-sS', '-T', file, url(`/${name}`)])
    t.is(stored.code, 0, stored.stderr)
    t.is(sha256(readFileSync(join(nginx.root, name))), sha256(page))
  })

  test.serial(`one connection carries many requests${too}`, async (t) => {
    const pages = Array.from({ length: 50 }, () => ['-o', '/dev/null']).flat()
    const urls = Array.from({ length: 50 }, () => url('/whoami'))
    const { stdout } = await lab.client.run('curl', [
      '-sS',
      '-w',
      '%{http_code} %{num_connects}\\n',
      ...pages,
      ...urls,
    ])
    const answers = stdout.trim().split('\n')
    t.is(answers.filter((answer) => answer === '200 1').length, 1)
    t.is(answers.filter((answer) => answer === '200 0').length, 49)
  })

  test.serial(`a hundred transfers at once arrive complete${too}`, async (t) => {
    const { code, stdout, stderr } = await lab.client.run('curl', [
      '-sS',
      '--parallel',
      '--parallel-immediate',
      '--parallel-max',
      '100',
      '-r',
      '0-262143',
      '-w',
      '%{http_code} %{size_download}\\n',
      '-o',
      '/dev/null',
      `${url('/large')}?[1-100]`,
    ])
    t.is(code, 0, stderr)
    t.deepEqual(
      stdout
        .trim()
        .split('\n')
        .filter((answer) => answer !== '206 262144'),
      [],
    )
  })

  test.serial(`ssh-keyscan reads the banner of sshd${too}`, async (t) => {
    const scan = await lab.client.run('ssh-keyscan', ['-t', 'ed25519', dialled()])
    t.regex(scan.stdout + scan.stderr, /:22 SSH-2\.0-OpenSSH_/)
  })

  test.serial(`nc gets its lines echoed${too}`, async (t) => {
    const said = 'one\ntwo\nthree\n'
    const args = ['-N', dialled(), '7']
    const { code, stdout, stderr } = await lab.client.run('nc', args, { input: said })
    t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: said, stderr: '' })
  })

  for (const [direction, option] of [
    ['up', []],
    ['down', ['-R']],
    ['both ways', ['--bidir']],
  ] as const) {
    test.serial(`iperf3 runs ${direction}${too}`, async (t) => {
      // Starts a new server: one that is still busy with the last client refuses the next.
      const server = await lab.server.iperf3()
      const args = ['-c', dialled(), '-n', '64M', '-P', '2', '-J', ...option]
      const { code, stdout } = await lab.client.run('iperf3', args)
      await server.stop()
      const { end, error } = JSON.parse(stdout) as Iperf3Report
      // iperf3 exits with 0 even if it was refused.
      t.deepEqual({ code, error }, { code: 0, error: undefined })
      const sums = Object.entries(end).filter(([name]) => name.startsWith('sum_received'))
      t.is(sums.length, direction === 'both ways' ? 2 : 1)
      for (const [, { bytes = 0 }] of sums) t.true(bytes > 0)
    })
  }

  test.serial(`connections of the router itself are captured${too}`, async (t) => {
    const { stdout, stderr } = await lab.router.run('curl', ['-sS', url('/whoami')])
    t.is(stdout, `${addresses.routerIPv4}\n`, stderr)
    const { client } = await faithds[steering].session(
      (session) => session.client.address !== addresses.client,
    )
    const { stdout: own } = await lab.router.run('ip', ['-6', 'addr', 'show', 'to', client.address])
    t.not(own, '')
  })
}

test.serial('faithd steers by sk_lookup if it has the privileges', (t) => {
  t.is(faithds['by itself'].steering, maySteer() ? 'sk_lookup' : 'on-demand')
})
