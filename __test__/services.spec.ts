import test from 'ava'
import { parseService } from '../cli/services.js'
import { FaithError } from '../lib/errors.js'
import { formatPorts } from '../lib/ports.js'

const DATABASE = `# services(5)
ftp-data\t20/tcp
ssh\t\t22/tcp\t\t\t# SSH Remote Login Protocol
telnet\t\t23/tcp
domain\t\t53/tcp
domain\t\t53/udp
tftp\t\t69/udp
9pfs\t\t564/tcp
3com-tsmux\t106/tcp
http\t\t80/tcp\t\twww\t\t# WorldWideWeb HTTP
`

const ports = (service: string): string => formatPorts(parseService(service, () => DATABASE))

test('a service is found by its name', (t) => t.is(ports('telnet'), '23'))

test('a service is found by its alias', (t) => t.is(ports('www'), '80'))

test('a name with a hyphen is not a range', (t) => t.is(ports('ftp-data'), '20'))

test('a name can begin with a digit', (t) => {
  t.is(ports('9pfs'), '564')
  t.is(ports('3com-tsmux,80'), '106,80')
})

test('a range without an end is a malformed port, not an unknown name', (t) => {
  t.throws(() => ports('22-'), { message: "'22-' is not a port, a range or 'all'" })
  t.throws(() => ports('22x'), { message: /no TCP service is named '22x'/ })
})

test('a port, a range and all work without a database', (t) => {
  const none = (): string => t.fail('read the database') as never
  t.is(formatPorts(parseService('8080', none)), '8080')
  t.is(formatPorts(parseService('8000-8999', none)), '8000-8999')
  t.is(formatPorts(parseService('all', none)), 'all')
})

test('a list can mix names, ports and ranges', (t) => {
  t.is(ports('ssh,8080,9000-9100,http'), '22,8080,9000-9100,80')
})

for (const service of ['nosuch', 'tftp', 'SSH Remote', 'ssh,', ',', '70000', '22-x', '-5']) {
  test(`'${service}' is refused`, (t) => {
    const error = t.throws(() => ports(service), { instanceOf: FaithError })
    t.is(error.code, 'ERR_FAITH_PORT')
  })
}

test('a name is unknown without a database', (t) => {
  const error = t.throws(
    () =>
      parseService('ssh', () => {
        throw new Error('ENOENT')
      }),
    { instanceOf: FaithError },
  )
  t.is(error.hint, 'give its port number instead')
})
