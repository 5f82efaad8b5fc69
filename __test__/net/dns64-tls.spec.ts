/** `--dns64-certificate`: faithd answers DNS queries over TLS, too. */
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { Status } from '../../cli/control/schemas.js'
import { addresses, createLab, userArguments, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { Authority, type Certified } from '../fixtures/authority.js'
import { Control } from '../fixtures/control.js'
import { permitted, runFaithd } from '../fixtures/faithd.js'
import { startNameServer } from '../fixtures/name-server.js'

const prefix = '2001:db8:64::/96'
const www = '2001:db8:64::c633:6402'
const { gateway, server } = addresses

let lab: Lab
let control: Control
let authority: Authority
/** The files that faithd reads. */
let files: Certified

test.before(async () => {
  lab = await createLab()
  control = new Control(lab.router, join(lab.directory, 'control.sock'))
  authority = new Authority(join(lab.directory, 'authority'))
  files = { certificate: join(lab.directory, 'dns.pem'), key: join(lab.directory, 'dns.key') }
  await startNameServer(lab, ['www.example.net. 300 A 198.51.100.2'])
})

let faithd: LabProcess | undefined

test.afterEach.always(async () => {
  await faithd?.stop()
  faithd = undefined
})
test.after.always(() => lab.close())

/** Puts a certificate for this name where faithd reads it. */
function install(name: string): void {
  const signed = authority.sign(name, `DNS:${name}`)
  copyFileSync(signed.certificate, files.certificate)
  copyFileSync(signed.key, files.key)
  // The user that faithd may have become reads it at a reload.
  chmodSync(files.key, 0o644)
}

async function start(...args: readonly string[]): Promise<LabProcess> {
  const certificate = ['--dns64-certificate', files.certificate, '--dns64-key', files.key]
  const upstream = ['--dns64-upstream', server]
  const more = ['-k', '-P', prefix, '--control', control.path, ...permitted, '--dns64']
  faithd = await lab.router.faithd([...more, ...upstream, ...certificate, ...args])
  return faithd
}

/** Asks over TLS, as a client that knows the server by this name. */
async function dig(name: string, ...args: readonly string[]): Promise<string> {
  const trust = ['+tls', `+tls-ca=${authority.file}`, `+tls-hostname=${name}`]
  const given = [...trust, '+tries=1', '+time=10', `@${gateway}`, ...args]
  const { stdout, stderr } = await lab.client.run('dig', given)
  return (stdout + stderr).trim()
}

const ask = (name: string) => dig(name, '+short', 'AAAA', 'www.example.net')

/** The length of a response. */
async function size(...args: readonly string[]): Promise<number> {
  const text = await dig('dns.example.net', ...args, 'AAAA', 'www.example.net')
  return Number(/MSG SIZE +rcvd: (\d+)/.exec(text)?.[1])
}

test.serial('clients ask over TLS, and learn the name of the server', async (t) => {
  install('dns.example.net')
  const { output } = await start()
  t.regex(output, /answers DNS queries at \[::\]:53, \[::\]:853 by DNS64/)
  t.is(await dig('dns.example.net', '+short', 'AAAA', 'www.example.net'), www)
  t.is(
    await dig('dns.example.net', '+short', '-b', addresses.client, 'AAAA', 'www.example.net'),
    www,
  )
  t.notRegex(await dig('dns.example.org', '+short', 'AAAA', 'www.example.net'), /2001:db8:64/)
  const { dns64 } = (await control.get('/v1/status')).json as Status
  t.like(dns64, { addresses: ['[::]:53', '[::]:853'], udpQueries: 0, tcpQueries: 0, tlsQueries: 2 })
})

test.serial('responses are padded for clients that pad', async (t) => {
  install('dns.example.net')
  await start()
  t.is(await size('+padding=128'), 468)
  t.not(await size('+nopadding'), 468)
})

test.serial('a reload reads the certificate again, and keeps the last good one', async (t) => {
  install('old.example.net')
  const running = await start()
  t.is(await ask('old.example.net'), www)
  install('new.example.net')
  running.kill('SIGHUP')
  await waitFor('the new certificate', async () => (await ask('new.example.net')) === www)
  writeFileSync(files.certificate, 'no certificate\n')
  running.kill('SIGHUP')
  await running.line(
    /WARN: dns64: the certificate stays as it was: .*no certificate in PEM is there/,
  )
  t.is(await ask('new.example.net'), www)
})

test.serial('a certificate that is missing or wrong stops the start', async (t) => {
  install('dns.example.net')
  const { key } = authority.sign('other.example.net', 'DNS:other.example.net')
  const given = ['-k', '-P', prefix, '--dns64']
  for (const [args, code, complaint] of [
    [['--dns64-certificate', files.certificate], 64, /certificate and key go together/],
    [
      ['--dns64-certificate', '/no/such.pem', '--dns64-key', files.key],
      78,
      /cannot read \/no\/such\.pem: no such file or directory/,
    ],
    [
      ['--dns64-certificate', files.certificate, '--dns64-key', key],
      64,
      /the private key is not that of the certificate/,
    ],
  ] as const) {
    const ended = await runFaithd(lab, [...given, ...userArguments, ...args])
    t.is(ended.code, code, ended.stderr)
    t.regex(ended.stderr, complaint)
  }
})
