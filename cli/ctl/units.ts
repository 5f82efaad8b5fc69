/** Writes numbers for people: SI bytes, rates and durations. */

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E']

/** Writes bytes with three digits: `999 B`, `1.23 MB`, `123 GB`. */
export function bytes(count: number): string {
  return scaled(count, 'B')
}

/** Writes bytes, or `-` where they are not known. */
export function amount(count: number | undefined): string {
  return count === undefined ? '-' : bytes(count)
}

/** Writes bytes a second: `1.23 MB/s`; `-` where no rate is known. */
export function rate(bytesPerSecond: number | undefined): string {
  return bytesPerSecond === undefined ? '-' : scaled(bytesPerSecond, 'B/s')
}

function scaled(count: number, unit: string): string {
  let value = count
  let power = 0
  // 999.5 would be written as 1000.
  while (value >= 999.5 && power < PREFIXES.length - 1) {
    value /= 1000
    power += 1
  }
  const digits = power === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${PREFIXES[power]}${unit}`
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Writes a duration in its two largest units: `0.4s`, `12s`, `3m12s`, `2h05m`, `3d04h`. */
export function duration(milliseconds: number): string {
  if (milliseconds < SECOND) return `${(Math.floor(milliseconds / 100) / 10).toFixed(1)}s`
  if (milliseconds < MINUTE) return `${Math.floor(milliseconds / SECOND)}s`
  if (milliseconds < HOUR) return two(milliseconds, MINUTE, 'm', SECOND, 's')
  if (milliseconds < DAY) return two(milliseconds, HOUR, 'h', MINUTE, 'm')
  return two(milliseconds, DAY, 'd', HOUR, 'h')
}

function two(value: number, large: number, one: string, small: number, other: string): string {
  const rest = Math.floor((value % large) / small)
  return `${Math.floor(value / large)}${one}${String(rest).padStart(2, '0')}${other}`
}

/** Writes a time of the network: `0.42 ms`, `80.1 ms`. */
export function networkTime(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return '-'
  return `${milliseconds.toFixed(milliseconds < 10 ? 2 : 1)} ms`
}

/** Writes a number with its noun: `1 session`, `2 sessions`. */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Writes a whole number in groups of three digits: `20,000`. */
export function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',')
}

/** Seconds of each unit that a duration may have on the command line. */
const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** Reads a duration of the command line in seconds: `90`, `90s`, `10m`, `1h30m`; `undefined` if it is none. */
export function readDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?[smhd])*(?:\d+(?:\.\d+)?[smhd]?)$/.test(text)) return undefined
  let seconds = 0
  for (const [, number, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)([smhd]?)/g)) {
    seconds += Number(number) * (UNITS[unit] ?? 1)
  }
  return seconds
}
