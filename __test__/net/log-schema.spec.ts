/** Every kind of line that `--log-format json` writes is an object of docs/log.schema.json. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import test from 'ava'
import { addresses, createLab, userArguments, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Control } from '../fixtures/control.js'
import { sumOf } from '../fixtures/exposition.js'
import { startFaithd } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'
import { isMachineRoot } from '../../scripts/namespaces.mjs'

const schema = JSON.parse(
  readFileSync(new URL('../../docs/log.schema.json', import.meta.url), 'utf8'),
) as object
const validate = new Ajv2020({ validateFormats: false }).compile(schema)

let lab: Lab

test.before(async () => {
  lab = await createLab()
})

test.after.always(() => lab.close())

test('the schema describes every kind of line', async (t) => {
  const client = Sockets.of(lab.client)
  const list = join(lab.directory, 'rules.conf')
  await writeFile(list, '::/0 deny 192.0.2.0/24\n::/0 permit 198.51.100.0/24\n')
  const control = new Control(lab.router, join(lab.directory, 'faithd.sock'))
  const becomes = userArguments.length === 0 && isMachineRoot() ? ['--user', 'daemon'] : []
  const args = ['-f', list, '--log-begin', '--log-level', 'debug', '--max-rate-per-client', '100']
  const served = ['--advertise', 'lan0', '--control', control.path, '--metrics', '127.0.0.1:9464']
  const answers = ['--dns64', '[2001:db8:1::1]:53', '--dns64-upstream', addresses.server]
  const faithd = await startFaithd(lab, [...args, ...served, ...answers, ...becomes])
  const sees = (what: string) =>
    waitFor(what, () => faithd.log.find((line) => Object.hasOwn(line, what)))

  const listening = await Sockets.of(lab.server).listen(7001)
  const near = await client.connect(faithd.address(), 7001)
  const far = await listening.accept()
  near.ends()
  far.ends()
  await sees('session')
  await sees('begin')
  await sees('advertised')
  await client.dial(faithd.address(), 7002).outcome()
  await faithd.refusalTo(7002)
  // More than 50 a second are summed.
  const summed = async () =>
    sumOf((await control.get('/metrics')).text, 'faithd_log_refusals_summed_total')
  while ((await summed()) === 0) {
    const dials = Array.from({ length: 100 }, () => client.dial(faithd.address('192.0.2.1'), 7003))
    await Promise.all(dials.map((dial) => dial.outcome()))
  }
  faithd.process.kill('SIGUSR1')
  await sees('log')
  faithd.process.kill('SIGUSR2')
  await sees('status')
  faithd.process.kill('SIGHUP')
  await faithd.process.line(/2 rules in force/)
  await writeFile(list, 'no rule\n')
  faithd.process.kill('SIGHUP')
  await faithd.process.line(/is kept/)
  await lab.router.run('ip', ['-6', 'route', 'del', '64:ff9b::/96', 'dev', faithd.name])
  await faithd.process.line(/routes-restored/)
  await control.ask('PUT', '/v1/keepfaith', { on: true })
  await sees('request')
  await faithd.stop()

  const kinds = [
    ...(isMachineRoot() ? ['user', 'uid'] : []),
    'control',
    'request',
    'metrics',
    'session',
    'begin',
    'advertised',
    'dns64',
    'refusal',
    'untold',
    'rules',
    'signal',
    'log',
    'status',
    'code',
    'relay',
    'steering',
    'options',
  ]
  for (const kind of kinds) {
    t.true(
      faithd.log.some((line) => Object.hasOwn(line, kind)),
      kind,
    )
  }
  for (const line of faithd.log) {
    t.true(validate(line), `${JSON.stringify(line)}: ${JSON.stringify(validate.errors)}`)
  }
  t.true(faithd.log.some(({ msg }) => msg.includes(addresses.client)))
  t.false(validate({ level: 30, time: '2026-11-29T13:03:07.123Z', msg: 'a number as level' }))
})
