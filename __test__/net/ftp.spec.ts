/** FTP through faithd: clients and servers that know nothing of each other's addresses. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { createLab, waitFor } from '../../lab/index.js'
import type { Lab, RunResult } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { ftpClients, type Mode } from '../fixtures/ftp-clients.js'
import { ftpServers, startFtpServer } from '../fixtures/ftp-servers.js'
import type { FtpServer, FtpServerName } from '../fixtures/ftp-servers.js'

const up = randomBytes(300_000)

let lab: Lab
let faithd: Faithd
const servers = new Map<FtpServerName, FtpServer>()

test.before(async () => {
  lab = await createLab()
  await Promise.all(
    ftpServers.map(async (name) => servers.set(name, await startFtpServer(lab, name))),
  )
  faithd = await startFaithd(lab)
})

test.after.always(() => lab.close())

function serverOf(name: FtpServerName): FtpServer {
  const server = servers.get(name)
  if (server === undefined) throw new Error(`${name} has not begun`)
  return server
}

let places = 0

/** Another faithd with a prefix of its own. */
async function another(...args: string[]): Promise<Faithd> {
  places += 1
  return await startFaithd(lab, args, 'by itself', {
    name: `faith2${places}`,
    prefix: `3fff:f${places}::`,
  })
}

/** A folder of the client's with the file `up`. */
function folder(): string {
  const made = mkdtempSync(join(lab.directory, 'client-'))
  writeFileSync(join(made, 'up'), up)
  return made
}

/** Runs a script at the client, in a folder with the file `up`. */
async function run(
  script: string,
  {
    server,
    through = faithd,
    name = 'file',
    cwd = folder(),
    timeout,
  }: {
    server: FtpServer
    through?: Faithd
    name?: string
    cwd?: string
    timeout?: number
  },
): Promise<RunResult & { read(file: string): Buffer }> {
  const address = through.address(server.address)
  const { user, password } = server
  const env = {
    ADDRESS: address,
    URL: `ftp://${user}:${password}@[${address}]/pub`,
    NAME: name,
    LOGIN: user,
    SECRET: password,
    HOME: cwd,
  }
  const result = await lab.client.run('sh', ['-ec', script], {
    cwd,
    env,
    ...(timeout !== undefined && { timeout }),
  })
  return { ...result, read: (file) => readFileSync(join(cwd, file)) }
}

for (const name of ftpServers) {
  for (const [client, script] of Object.entries(ftpClients)) {
    for (const mode of ['passive', 'active'] as const satisfies Mode[]) {
      test.serial(`${client} and ${name}: upload, download and list in ${mode} mode`, async (t) => {
        const file = `${client.replaceAll(/\W/g, '')}-${mode}`
        const server = serverOf(name)
        const { code, stdout, stderr, read } = await run(script(mode), { server, name: file })
        t.is(code, 0, `${stdout}${stderr}`)
        t.true(read('down').equals(up), `${stdout}${stderr}`)
        t.true(readFileSync(join(server.folder, file)).equals(up))
        t.true(read('list').includes(file))
      })
    }
  }
}

test.serial('a gibibyte arrives byte for byte', async (t) => {
  const server = serverOf('vsftpd')
  const bytes = 2 ** 30
  // Random blocks with holes between, because the disk is slower than the test.
  const made = `truncate -s ${bytes} big; for at in $(seq 0 31 1023); do
    dd if=/dev/urandom of=big bs=1M count=1 seek=$at conv=notrunc status=none; done`
  const cwd = server.folder
  const { code, stderr } = await lab.server.run('sh', ['-ec', made], { cwd, timeout: 60_000 })
  t.is(code, 0, stderr)
  const script = `curl -sS "$URL/big" | cmp - "${server.folder}/big"`
  const compared = await run(script, { server, timeout: 120_000 })
  t.is(compared.code, 0, `${compared.stdout}${compared.stderr}`)
  const { bytesDown } = await faithd.session((session) => session.bytesDown >= bytes)
  t.is(bytesDown, bytes)
})

for (const mode of ['passive', 'active'] as const satisfies Mode[]) {
  test.serial(`a transfer goes on where another ended, in ${mode} mode`, async (t) => {
    const server = serverOf('proftpd')
    writeFileSync(join(server.folder, 'whole'), up)
    const active = mode === 'active' ? '--ftp-port -' : ''
    const script = `
head -c 100000 up >part
curl -sS ${active} -C - "$URL/whole" -o part
lftp -u "$LOGIN,$SECRET" "ftp://[$ADDRESS]/pub" -e '
set ftp:ssl-allow no; set ftp:passive-mode ${mode === 'passive'}; set cmd:fail-exit yes
!head -c 150000 up >half
put half -o resumed; put -c up -o resumed; bye'
`
    const { code, stderr, read } = await run(script, { server })
    t.is(code, 0, stderr)
    t.true(read('part').equals(up))
    t.true(readFileSync(join(server.folder, 'resumed')).equals(up))
  })

  test.serial(`a client aborts a transfer and begins another, in ${mode} mode`, async (t) => {
    const server = serverOf('proftpd')
    const script = `
truncate -s 200M "${server.folder}/long"
python3 -c '
import ftplib, os
e = os.environ
ftp = ftplib.FTP(timeout=15)
ftp.connect(e["ADDRESS"])
ftp.login(e["LOGIN"], e["SECRET"])
ftp.set_pasv("${mode}" == "passive")
ftp.voidcmd("TYPE I")
data = ftp.transfercmd("RETR pub/long")
data.recv(1000)
print(ftp.abort()[:3])
data.close()
print(ftp.getmultiline()[:3])
ftp.storbinary("STOR pub/again", open("up", "rb"))
ftp.quit()
print("done")
'`
    const { stdout, stderr } = await run(script, { server })
    t.is(stdout, '426\n226\ndone\n', stderr)
    t.true(readFileSync(join(server.folder, 'again')).equals(up))
  })
}

test.serial('FTP over TLS passes after AUTH', async (t) => {
  const server = serverOf('vsftpd')
  const files = { cert: join(lab.directory, 'cert.pem'), key: join(lab.directory, 'key.pem') }
  const subject = ['-subj', '/CN=ftp', '-days', '2', '-keyout', files.key, '-out', files.cert]
  await lab.server.run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject])
  const secure = await startFtpServer(lab, 'vsftpd', [
    'ssl_enable=YES',
    'allow_anon_ssl=YES',
    'force_anon_logins_ssl=YES',
    'force_anon_data_ssl=YES',
    'require_ssl_reuse=NO',
    `rsa_cert_file=${files.cert}`,
    `rsa_private_key_file=${files.key}`,
  ])
  const script = `
set -- -sS -k --ssl-reqd -m 15
curl "$@" -T up "$URL/secret"
curl "$@" "$URL/secret" -o down
`
  const { code, stderr, read } = await run(script, { server: secure })
  t.is(code, 0, stderr)
  t.true(read('down').equals(up))
  const plain = await run('curl -sS "$URL/" -o list', { server: secure })
  t.not(plain.code, 0, 'the server wants TLS')
  t.not(secure.address, server.address)
})

test.serial('with a relay of port 21 alone, each data connection is relayed once', async (t) => {
  await using narrow = await another(...permitted, '21')
  const server = serverOf('vsftpd')
  const { code, stderr, read } = await run(ftpClients['curl']?.('passive') ?? '', {
    server,
    through: narrow,
    name: 'narrow',
  })
  t.is(code, 0, stderr)
  t.true(read('down').equals(up))
  const data = await narrow.session(({ destination }) => destination.port !== 21)
  t.is(data.tag, 'ftp')
  const again = await run(`nc -w 2 -z "$ADDRESS" ${data.destination.port}`, {
    server,
    through: narrow,
  })
  t.not(again.code, 0)
})

test.serial('another client cannot take an expected connection', async (t) => {
  await using narrow = await another(...permitted, '21')
  const stranger = '2001:db8:1::77'
  await lab.client.run('ip', [
    'addr',
    'add',
    `${stranger}/64`,
    'dev',
    'eth0',
    'nodad',
    'preferred_lft',
    '0',
  ])
  const script = `
python3 -c '
import ftplib, os, socket
e = os.environ
ftp = ftplib.FTP(timeout=15)
ftp.connect(e["ADDRESS"])
ftp.login(e["LOGIN"], e["SECRET"])
host, port = ftp.makepasv()
try:
    socket.create_connection((host, port), 5, (e["STRANGER"], 0))
    print("stranger in")
except ConnectionRefusedError:
    print("stranger refused")
socket.create_connection((host, port), 5)
print("client in")
'`
  const { stdout, stderr } = await run(`STRANGER=${stranger}; export STRANGER;${script}`, {
    server: serverOf('vsftpd'),
    through: narrow,
  })
  t.is(stdout, 'stranger refused\nclient in\n', stderr)
})

test.serial('with several sources a client has one for control and data', async (t) => {
  const sources = ['198.51.100.11', '198.51.100.12', '198.51.100.13']
  for (const source of sources) {
    await lab.router.run('ip', ['addr', 'add', `${source}/24`, 'dev', 'wan0'])
  }
  await using many = await another(...permitted, ...sources.flatMap((one) => ['--source', one]))
  for (let number = 1; number <= 8; number += 1) {
    const address = `2001:db8:f000:${number}::1/128`
    await lab.client.run('ip', ['addr', 'add', address, 'dev', 'lo', 'nodad'])
  }
  const way = ['via', '2001:db8:1::2', 'dev', 'lan0']
  await lab.router.run('ip', ['-6', 'route', 'add', '2001:db8:f000::/36', ...way])
  // vsftpd refuses data from another address than the control connection's.
  const script = `
for number in 1 2 3 4 5 6 7 8; do
  curl -sS -m 15 --interface 2001:db8:f000:$number::1 "$URL/" -o list
  curl -sS -m 15 --interface 2001:db8:f000:$number::1 --ftp-port - "$URL/" -o list
done`
  const { code, stderr } = await run(script, { server: serverOf('vsftpd'), through: many })
  t.is(code, 0, stderr)
})

test.serial('the access list judges data connections', async (t) => {
  const list = join(lab.directory, 'list')
  writeFileSync(list, '::/0 permit 198.51.100.0/24 port 21\n')
  await using strict = await another('-f', list)
  const server = serverOf('vsftpd')
  const passive = await run('curl -sS -m 15 "$URL/" -o list', { server, through: strict })
  t.not(passive.code, 0)
  const denied = await strict.refusal(({ reason }) => reason === 'denied')
  t.not(denied.destination.port, 21)
  const active = await run('curl -sS -m 15 --ftp-port - "$URL/" -o list', {
    server,
    through: strict,
  })
  t.not(active.code, 0)
  await waitFor('the denial of active data', () =>
    strict.log.find(({ msg }) => /^FTP data .* failed: the access list denies it/.test(msg)),
  )
})

/** A login by hand: `say` sends a line and gives the last line of its reply. */
const byHand = `
import os, re, socket
e = os.environ
control = socket.create_connection((e["ADDRESS"], 21), 15)
lines = control.makefile("rb")
def reply():
    while True:
        line = lines.readline().decode().rstrip()
        if re.match(r"\\d{3}( |$)", line):
            return line
def say(line):
    control.sendall(line.encode() + b"\\r\\n")
    return reply()
reply()
say("USER " + e["LOGIN"])
say("PASS " + e["SECRET"])
`

test.serial('LPSV and LPRT of old clients work (RFC 1639)', async (t) => {
  const script = `
python3 -c '${byHand}
def numbers(text):
    return [int(word) for word in re.findall(r"\\d+", text)]
words = numbers(say("LPSV").split("(")[1])
print(words[:2], socket.inet_ntop(socket.AF_INET6, bytes(words[2:18])) == e["ADDRESS"], words[18])
data = socket.create_connection((e["ADDRESS"], words[19] * 256 + words[20]), 15)
print(say("LIST pub")[:3], b"seen" in data.makefile("rb").read(), reply()[:3])

listener = socket.socket(socket.AF_INET6)
own = control.getsockname()[0]
listener.bind((own, 0))
listener.listen()
listener.settimeout(15)
port = listener.getsockname()[1]
words = [6, 16, *socket.inet_pton(socket.AF_INET6, own), 2, port >> 8, port & 255]
print(say("LPRT " + ",".join(map(str, words)))[:3])
print(say("LIST pub")[:3])
data, peer = listener.accept()
print(peer[:2] == (e["ADDRESS"], 20), b"seen" in data.makefile("rb").read(), reply()[:3])
'`
  const server = serverOf('vsftpd')
  writeFileSync(join(server.folder, 'seen'), '')
  const { stdout, stderr } = await run(
    `ADDRESS=$(python3 -c 'import ipaddress, os; print(ipaddress.ip_address(os.environ["ADDRESS"]))')\n${script}`,
    { server },
  )
  t.is(stdout, '[6, 16] True 2\n150 True 226\n200\n150\nTrue True 226\n', stderr)
})

test.serial('a client far ahead of its server gets each reply in its place', async (t) => {
  const script = `
python3 -c '${byHand}
import threading
count = 2000
def ask():
    for number in range(count):
        control.sendall(b"EPSV 1\\r\\nTYPE I\\r\\nEPSV\\r\\n")
threading.Thread(target=ask).start()
wrong = [line for _ in range(count) for code in ("522", "200", "229") if not (line := reply()).startswith(code)]
print(wrong[:3])
'`
  const { stdout, stderr } = await run(script, { server: serverOf('vsftpd') })
  t.is(stdout, '[]\n', stderr)
})

test.serial(
  'with -p the control connection comes from a privileged port, and data works',
  async (t) => {
    // Another user than root may have these ports only so.
    await lab.router.run('sysctl', ['-qw', 'net.ipv4.ip_unprivileged_port_start=600'])
    await using privileged = await another(...permitted, '-p', '--log-sources')
    const server = serverOf('vsftpd')
    for (const mode of ['passive', 'active'] as const satisfies Mode[]) {
      const script = ftpClients['curl']?.(mode) ?? ''
      const { code, stderr, read } = await run(script, { server, through: privileged, name: mode })
      t.is(code, 0, stderr)
      t.true(read('down').equals(up))
    }
    const { source } = await privileged.session(({ destination }) => destination.port === 21)
    t.true((source?.port ?? 0) >= 600 && (source?.port ?? 0) < 1024, String(source?.port))
  },
)

test.serial('the record of active data keeps to the settings of the log', async (t) => {
  const server = serverOf('vsftpd')
  const script = 'curl -sS -m 15 --ftp-port - "$URL/" -o list'
  await using open = await another(...permitted)
  t.is((await run(script, { server, through: open })).code, 0)
  const told = await waitFor('the record', () => open.log.find(({ ftp }) => ftp)?.ftp)
  t.like(told, { server: { address: server.address, port: 20 }, reason: 'closed' })
  await using discreet = await another(...permitted, '--no-log-destinations')
  t.is((await run(script, { server, through: discreet })).code, 0)
  const { ftp } = await waitFor('the record', () => discreet.log.find((line) => line.ftp))
  t.like(ftp, { server: undefined, reason: 'closed' })
  await discreet.stop()
  t.false(discreet.log.some((line) => JSON.stringify(line).includes(server.address)))
})

test.serial(
  'an active data connection takes a place among the sessions until it ends',
  async (t) => {
    const server = serverOf('vsftpd')
    const script = 'curl -sS -m 15 --ftp-port - "$URL/" -o list'
    await using narrow = await another(...permitted, '--max-sessions-per-client', '1')
    t.not((await run(script, { server, through: narrow })).code, 0)
    await waitFor('the refusal of the data', () =>
      narrow.log.find(({ msg }) =>
        /^FTP data .* failed: a limit of sessions is reached \(max-sessions-per-client\)/.test(msg),
      ),
    )

    // Two for a transfer, and one for a place that comes back late. Places that stay taken would leave none.
    await using enough = await another(...permitted, '--max-sessions-per-client', '3')
    for (const times of [1, 2, 3]) {
      const { code, stderr } = await run(script, { server, through: enough })
      t.is(code, 0, stderr)
      await waitFor('both records', () => {
        const data = enough.log.filter(({ ftp }) => ftp !== undefined)
        return data.length === times && enough.sessions.length === times
      })
    }
  },
)

test.serial('a server that refuses looks refused', async (t) => {
  const server = { ...serverOf('vsftpd'), address: '198.51.100.3' }
  const { code, stderr } = await run('curl -sS -m 15 "$URL/"', { server })
  t.is(code, 7, stderr)
  t.is((await faithd.refusalTo(21)).reason, 'refused')
})

test.serial('--no-ftp relays FTP as it is', async (t) => {
  await using plain = await another(...permitted, '--no-ftp')
  const script = 'curl -sSv -m 15 "$URL/" -o list'
  const { code, stderr } = await run(script, { server: serverOf('old'), through: plain })
  t.not(code, 0)
  t.regex(stderr, /> EPSV[^]*< 500/)
  const session = await plain.sessionTo(21)
  t.is(session.tag, undefined)
})

test.serial(
  'a control connection lives while its data flows, and ends when both are idle',
  async (t) => {
    await using brief = await another(...permitted, '--idle-timeout', '3')
    const server = serverOf('vsftpd')
    writeFileSync(join(server.folder, 'slow'), Buffer.alloc(6_000_000))
    // Reads for twice the time after which an idle session ends. The rate of curl bounds no transfer as short as this.
    const client = `
python3 -c '
import ftplib, os, time
ftp = ftplib.FTP(timeout=30)
ftp.connect(os.environ["ADDRESS"])
ftp.login()
ftp.voidcmd("TYPE I")
data, octets = ftp.transfercmd("RETR pub/slow"), 0
while read := data.recv(100_000):
    octets += len(read)
    time.sleep(0.1)
data.close()
print(octets, ftp.voidresp()[:3], ftp.voidcmd("NOOP")[:3], ftp.getmultiline()[:3])
'`
    const { stdout, stderr } = await run(client, { server, through: brief })
    t.is(stdout, '6000000 226 200 421\n', stderr)
  },
)
