/**
 * The benchmark: every subject does every work item, in turn, in several rounds. A subject that cannot run, or fails,
 * is reported with the reason, and the others go on. The final tables, JSON and drawing say so.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { found } from '../scripts/debian.mjs'
import { bold, dim, duration, green, print, progress, red } from '../scripts/steps.mjs'
import { Accounts } from './accounts.js'
import { Bed } from './bed.js'
import type { Tools } from './bed.js'
import { draw } from './chart.js'
import { compile } from './compile.js'
import { allowCongestionControl } from './congestion.js'
import { describeMachine, quiet, versions } from './machine.js'
import { Refusal, UsageError, help, parse } from './options.js'
import type { Options } from './options.js'
import { Clock, plan } from './plan.js'
import type { Sitting } from './plan.js'
import { Profiles } from './profiles.js'
import { summarize } from './results.js'
import type { Report, Sample } from './results.js'
import { allSubjects } from './subject.js'
import type { Subject } from './subject.js'
import { format, tables } from './table.js'
import { allWorks } from './work.js'
import type { Settings, Work } from './work.js'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Seconds after which `--quick` starts nothing that cannot end within two minutes. */
const quickLimit = 112
/** Descriptors that a relay needs besides two per session. */
const spareDescriptors = 1000

let current: Bed | undefined
let interruption: NodeJS.Signals | undefined

async function main(args: readonly string[]): Promise<void> {
  const [subjects, works] = await Promise.all([allSubjects(), allWorks()])
  const options = parse(args, subjects, works)
  if (options.help) {
    process.stdout.write(help(subjects, works))
    return
  }
  // Makes the folder before measuring, so that no figures are lost.
  if (options.from === undefined) mkdirSync(folderOf(options), { recursive: true })
  const report = options.from === undefined ? await measure(options) : load(options.from)
  if (interruption !== undefined) return
  const width = Math.max(80, process.stdout.columns ?? 120)
  print(`\n${tables(report, { bold, dim, width })}\n`)
  save(report, options)
}

function load(file: string): Report {
  const report = JSON.parse(readFileSync(file, 'utf8')) as Partial<Report>
  if (report.format !== 1) throw new UsageError(`--from: ${file} is not a report of this benchmark`)
  return report as Report
}

async function measure(options: Options): Promise<Report> {
  if (process.getuid?.() !== 0) {
    throw new Refusal(
      'measuring needs root, for network namespaces, TUN devices and cgroups; run: sudo npm run bench',
    )
  }
  const { congestion } = options
  allowCongestionControl(congestion)
  const machine = describeMachine()
  const settings: Settings = {
    seconds: options.seconds,
    quick: options.quick,
    mostSessions: Math.floor((machine.descriptors - spareDescriptors) / 2),
  }
  if (machine.loadAverage > quiet) {
    print(
      red(
        `This machine is not quiet (load average ${machine.loadAverage}); trust no figure of it.`,
      ),
    )
  }
  const leftOut = options.skipped.map(({ name }) => ({ what: name, why: '--quick' }))
  const works = await prepared(options.works, leftOut)
  const able = options.subjects.filter((subject) => {
    if (!works.some(({ kinds }) => kinds.includes(subject.kind))) return false
    const why = lacking(subject)
    if (why !== undefined) leftOut.push({ what: subject.title, why })
    return why === undefined
  })
  const tools = { machine, congestion, programs: await compile(), accounts: new Accounts() }
  process.on('exit', () => tools.accounts.close())

  const sittings = plan(options.rounds, works, able)
  const profiles = options.profile
    ? new Profiles(join(resolve(root, options.out), 'profiles'), machine)
    : undefined
  const samples = await sit(sittings, settings, tools, profiles)
  const failed = samples.filter((sample) => sample.failure !== undefined)
  for (const { subject, work, round, failure } of failed) {
    leftOut.push({ what: `${subject}, ${work}, round ${round}`, why: failure ?? '' })
  }
  return {
    format: 1,
    date: new Date().toISOString().slice(0, 10),
    settings: { ...settings, rounds: options.rounds, congestion },
    machine,
    accounting: tools.accounts.method,
    versions: versions(
      able.flatMap((subject) => subject.package ?? subject.needs?.[0]?.package ?? []),
    ),
    subjects: Object.fromEntries(
      able.map(({ name, title, kind, about }) => [name, { title, kind, about }]),
    ),
    works: works.map((work) => summarize(work, able, settings, samples)),
    leftOut,
    samples,
  }
}

/** The work items that could be prepared; the others are added to what is left out. */
async function prepared(works: readonly Work[], leftOut: Report['leftOut']): Promise<Work[]> {
  const able: Work[] = []
  for (const work of works) {
    try {
      await work.prepare?.()
      able.push(work)
    } catch (error) {
      leftOut.push({ what: work.title, why: reason(error) })
    }
  }
  return able
}

/** The reason why a subject cannot run here; undefined if it can. */
function lacking({ needs = [] }: Subject): string | undefined {
  const missing = needs.filter(({ program }) => !found(program))
  if (missing.length === 0) return undefined
  const [programs, packages] = (['program', 'package'] as const).map((key) =>
    missing.map((need) => need[key]).join(', '),
  )
  return `${programs} not found; install ${packages}`
}

async function sit(
  sittings: readonly Sitting[],
  settings: Settings,
  tools: Tools,
  profiles: Profiles | undefined,
): Promise<Sample[]> {
  const samples: Sample[] = []
  const clock = new Clock(settings)
  print(dim(`${sittings.length} sittings, about ${duration(clock.remaining(sittings))}`))
  for (const [index, sitting] of sittings.entries()) {
    if (interruption !== undefined) break
    const left = sittings.slice(index)
    if (settings.quick && clock.elapsed + clock.remaining(left.slice(0, 1)) > quickLimit) {
      for (const late of left) samples.push(empty(late, 'the two minutes of --quick were over'))
      break
    }
    const start = performance.now()
    const sample = await shown(sitting, `[${index + 1}/${sittings.length}]`, clock, left, () =>
      once(sitting, settings, profiles === undefined ? tools : watched(sitting, tools, profiles)),
    )
    clock.took(sitting.work, (performance.now() - start) / 1000)
    samples.push(sample)
  }
  return samples
}

/** Shows progress with elapsed and remaining time, then the result. */
async function shown(
  sitting: Sitting,
  count: string,
  clock: Clock,
  left: readonly Sitting[],
  work: () => Promise<Sample>,
): Promise<Sample> {
  const { round, work: item, subject } = sitting
  const title = `${count} round ${round}, ${item.name}: ${subject.title}`
  const passed = () => clock.elapsed
  const ahead = clock.remaining(left)
  const begun = clock.elapsed
  const live = progress(title, passed, () => {
    const phase = current?.phases.at(-1)?.name
    const rest = duration(Math.max(0, ahead - (clock.elapsed - begun)))
    return `about ${rest} left${phase === undefined ? '' : `; after: ${phase}`}`
  })
  const sample = await work().finally(() => live.stop())
  if (interruption !== undefined) return sample
  const rest = duration(Math.max(0, ahead - (clock.elapsed - begun)))
  const time = dim(`${duration(clock.elapsed)} gone, about ${rest} left`)
  const mark = sample.failure === undefined ? green('✓') : red('✗')
  print(`${mark} ${title}: ${sample.failure ?? headline(sitting, sample, clock.settings)} ${time}`)
  return sample
}

function headline({ work }: Sitting, { values }: Sample, settings: Settings): string {
  const metrics = work.metrics(settings)
  const parts = Object.entries(work.headline).flatMap(([key, title]) => {
    const metric = metrics.find((each) => each.key === key)
    const value = values[key]
    if (metric === undefined || value === undefined) return []
    return [[title, format(value, metric.digits), metric.unit].filter(Boolean).join(' ')]
  })
  return parts.join(', ') || 'done'
}

function watched(sitting: Sitting, tools: Tools, profiles: Profiles): Tools {
  return { ...tools, watch: async (phase) => await profiles.watch(sitting, phase) }
}

async function once(sitting: Sitting, settings: Settings, tools: Tools): Promise<Sample> {
  try {
    const bed = await Bed.make(sitting, tools, (made) => (current = made))
    try {
      const values = await sitting.work.run(bed, settings)
      return { ...empty(sitting), values, phases: bed.phases }
    } finally {
      await bed.close()
    }
  } catch (error) {
    return empty(sitting, reason(error))
  } finally {
    current = undefined
  }
}

/** Shortens an error to one line for the report, without paths of this machine. */
function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const [line = ''] = text.trim().split('\n')
  return line.replace(/sh -c .*cgroup\.procs /, '').replaceAll(/\/(?:[^\s/]+\/)+/g, '')
}

function empty({ round, work, subject }: Sitting, failure?: string): Sample {
  const sample = { round, work: work.name, subject: subject.name, values: {}, phases: [] }
  return failure === undefined ? sample : { ...sample, failure }
}

function folderOf({ out, from }: Pick<Options, 'out' | 'from'>): string {
  return resolve(root, from === undefined ? out : dirname(resolve(from)))
}

function save(report: Report, { out, json, from, profile }: Options): void {
  // Saves nothing: figures taken while perf runs are no results.
  if (profile) return
  const folder = folderOf({ out, from })
  const text = `${JSON.stringify(report, undefined, 1)}\n`
  const files: [string, string][] = [[join(folder, 'results.svg'), draw(report)]]
  if (from === undefined) files.unshift([join(folder, 'results.json'), text])
  if (json !== undefined) files.push([resolve(json), text])
  for (const [file, content] of files) {
    writeFileSync(file, content)
    print(dim(`wrote ${file}`))
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interruption !== undefined) return
    interruption = signal
    process.stderr.write('\nbench: interrupted; removing the lab\n')
    const end = () => process.exit(128 + constants.signals[signal])
    if (current === undefined) end()
    else void current.close().finally(end)
  })
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  // Gives the signal a few turns to arrive: the end of a program that died of the same Ctrl-C may be seen first.
  for (let turn = 0; turn < 5; turn += 1) await setImmediate()
  if (interruption === undefined) {
    const refusal = error instanceof Refusal ? error : undefined
    const text = refusal?.message ?? (error instanceof Error ? error.stack : error)
    process.stderr.write(`${red('bench:')} ${text}\n`)
    process.exitCode = refusal?.exitCode ?? 1
  }
}
