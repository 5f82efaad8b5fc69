/** Describes the machine of the figures, without its name or address. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

export interface Machine {
  cpu: string
  architecture: string
  cores: number
  memoryGiB: number
  kernel: string
  distribution: string
  node: string
  /** Maximum number of descriptors of a process. */
  descriptors: number
  /** The one-minute load average before the benchmark began. */
  loadAverage: number
}

/** Maximum load average for reliable figures. */
export const quiet = 0.5

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    architecture: arch(),
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    // Drops the suffix, which names the builder.
    kernel: /^\d+(\.\d+)*/.exec(release())?.[0] ?? 'unknown',
    distribution: distribution(),
    node: process.versions.node,
    descriptors: descriptorLimit(),
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
  }
}

/** The versions of Debian's packages, by name, and of faithd itself. */
export function versions(packages: readonly string[]): Record<string, string> {
  const found = [...new Set([...packages, 'iperf3'])].map((name) => [name, debianVersion(name)])
  return { faithd: faithdVersion(), ...(Object.fromEntries(found) as Record<string, string>) }
}

function faithdVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

function debianVersion(name: string): string {
  try {
    return execFileSync('dpkg-query', ['-W', '-f', '${Version}', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return 'unknown'
  }
}

function distribution(): string {
  try {
    const text = readFileSync('/etc/os-release', 'utf8')
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Reads the limit of open files. Node raises its own soft limit to the hard one, and its children inherit that. */
function descriptorLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const limit = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
  return limit === undefined ? Number.MAX_SAFE_INTEGER : Number(limit)
}
