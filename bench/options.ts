/** Parses the command line of the benchmark. */
import { parseArgs } from 'node:util'

import type { Subject } from './subject.js'
import type { Work } from './work.js'

export interface Options {
  quick: boolean
  rounds: number
  seconds: number
  /** TCP congestion control of all hosts. */
  congestion: string
  subjects: Subject[]
  works: Work[]
  /** Work items that `--quick` leaves out unless they are named. */
  skipped: Work[]
  /** Path of a copy of the JSON. */
  json: string | undefined
  out: string
  /** Takes and draws call stacks during the run. */
  profile: boolean
  /** Prints and draws this report instead of measuring. */
  from: string | undefined
  help: boolean
}

/** An error the reader can act on: printed without a stack. */
export class Refusal extends Error {
  readonly exitCode: number = 77
}

/** An invalid command line. */
export class UsageError extends Refusal {
  override readonly exitCode = 64

  constructor(message: string) {
    super(`${message}; see npm run bench -- --help`)
  }
}

const full = { rounds: 3, seconds: 3 }
const quick = { rounds: 1, seconds: 0.5 }
const watched = { rounds: 1 }
/** The kernel's default. */
const congestion = 'cubic'
/** Only a complete run replaces the checked-in figures. */
const published = 'bench/results'
const unpublished = 'target/bench'

export function parse(
  args: readonly string[],
  subjects: readonly Subject[],
  works: readonly Work[],
): Options {
  const values = read(args)
  const usual = { ...(values.quick ? quick : full), ...(values.profile ? watched : {}) }
  const some = values.work === undefined && values.quick
  const asked = pick('--work', works, values.work)
  const partial =
    values.quick || values.profile || values.subjects !== undefined || values.work !== undefined
  return {
    quick: values.quick ?? false,
    rounds: integer('--rounds', values.rounds, usual.rounds),
    seconds: positive('--seconds', values.seconds, usual.seconds),
    congestion: values.congestion ?? congestion,
    subjects: pick('--subjects', subjects, values.subjects),
    works: some ? asked.filter((work) => work.quick) : asked,
    skipped: some ? asked.filter((work) => !work.quick) : [],
    json: values.json,
    profile: values.profile ?? false,
    out: values.out ?? (partial ? unpublished : published),
    from: values.from,
    help: values.help ?? false,
  }
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        congestion: { type: 'string' },
        subjects: { type: 'string' },
        work: { type: 'string' },
        json: { type: 'string' },
        profile: { type: 'boolean' },
        out: { type: 'string' },
        from: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    // Cuts Node's advice ("To specify a positional argument …") off the message: it does not apply here.
    const [first = 'bad option'] = (error as Error).message.split(/\. |\n/)
    throw new UsageError(first)
  }
}

function pick<T extends { name: string }>(
  option: string,
  all: readonly T[],
  names: string | undefined,
): T[] {
  if (names === undefined) return [...all]
  const wanted = names.split(',').filter(Boolean)
  const unknown = wanted.filter((name) => !all.some((each) => each.name === name))
  if (unknown.length > 0 || wanted.length === 0) {
    const known = all.map(({ name }) => name).join(', ')
    throw new UsageError(`${option}: no ${unknown.join(', ') || 'name given'}; there are ${known}`)
  }
  return all.filter(({ name }) => wanted.includes(name))
}

function positive(option: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text)
  if (!(value > 0 && value < 3600)) {
    throw new UsageError(`${option}: '${text}' is not a number more than 0 and less than 3600`)
  }
  return value
}

function integer(option: string, text: string | undefined, fallback: number): number {
  const value = positive(option, text, fallback)
  if (!Number.isInteger(value)) throw new UsageError(`${option}: '${text}' is not a whole number`)
  return value
}

export function help(subjects: readonly Subject[], works: readonly Work[]): string {
  return `npm run bench -- [options]: faithd beside its peers and its limits, on this machine

Three hosts in network namespaces: a client with the load, a router with the subject, a server. Each
subject does each work item in a lab of its own, in turn, and every round begins with another subject.
Only ratios within one run count: figures of different runs or machines do not compare.
Run nothing else meanwhile. The benchmark needs root, and installs the peers from Debian.

Options:
  --quick           end within 2 minutes: 1 round, short loads, less work; checks that everything runs
  --rounds N        rounds; figures are medians over them [${full.rounds}]
  --seconds N       length of each load [${full.seconds}]
  --congestion NAME TCP congestion control of all hosts, for example bbr [${congestion}]
  --subjects A,B    only these subjects; ratios need the reference subject
  --work A,B        only these work items
  --out DIR         folder of results.json and results.svg [${published}; a partial run: ${unpublished}]
  --profile         record call stacks with perf, and draw a flame graph of each load in DIR/profiles;
                    1 round; perf slows the run, so no results are written
  --json FILE       write a copy of results.json
  --from FILE       print and draw an earlier results.json again, instead of measuring
  -h, --help        print this help

Subjects, each a file in bench/subjects/:
${listed(subjects)}

Work, each a file in bench/works/:
${listed(works)}

Examples:
  npm run bench -- --quick
  npm run bench -- --work bulk,connections --subjects haproxy,faithd --rounds 5
      the gain of an optimisation, before and after, beside a peer that has not changed
  npm run bench -- --profile --work connections --subjects haproxy,faithd
      flame graphs of the CPU time
  npm run bench -- --from bench/results/results.json

bench/README.md explains the method and the figures.
`
}

function listed(all: readonly { name: string; about: string }[]): string {
  const width = Math.max(...all.map(({ name }) => name.length))
  return all.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`).join('\n')
}
