/**
 * `faithd install-service`: writes the unit of systemd that starts this installation, which npm may have put anywhere. The
 * text is that of the Debian package, with the paths of this Node and of this faithd.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Exit, ExitError, UsageError } from './exit.js'

/** The command in the units of the Debian package. */
const PACKAGED = '/usr/sbin/faithd'
const UNITS = '/etc/systemd/system'
const USERS = '/etc/sysusers.d/faithd.conf'
/** Folders that the unit hides from faithd: ProtectHome= and PrivateTmp=. */
const HIDDEN = ['/home/', '/root/', '/run/user/', '/tmp/', '/var/tmp/']

/** The programs that a unit starts. */
interface Installation {
  node: string
  script: string
}

/** The options. Those with a `value` take one. */
export const INSTALL_OPTIONS = {
  instance: { type: 'string', value: 'NAME', help: 'one of several, by /etc/faithd/NAME.toml' },
  root: { type: 'string', value: 'FOLDER', help: 'write below this folder' },
  print: { type: 'boolean', help: 'print the unit instead' },
  force: { type: 'boolean', help: 'replace a unit that differs' },
} as const

interface Wanted {
  instance: string | undefined
  print: boolean
  force: boolean
  root: string
}

/**
 * Installs the unit, or only gives its text.
 *
 * @returns the text for the operator
 * @throws UsageError for a wrong option; ExitError for a file that is there already, or cannot be written
 */
export function installService(
  args: readonly string[],
  installation: Installation = {
    node: process.execPath,
    script: fileURLToPath(new URL('faithd.js', import.meta.url)),
  },
): string {
  const wanted = parse(args)
  const unit = wanted.instance === undefined ? 'faithd.service' : 'faithd@.service'
  const text = unitText(unit, installation)
  if (wanted.print) return text
  const files: [path: string, text: string][] = [
    [join(UNITS, unit), text],
    [USERS, packaged('sysusers.conf')],
  ]
  for (const file of files) refuseOther(wanted, ...file)
  const lines = files.map((file) => write(wanted, ...file))
  const isHere = wanted.root === '/' && existsSync('/run/systemd/system')
  if (isHere) lines.push(...tellSystemd())
  return [...lines, ...hiddenPaths(installation), ...nextSteps(wanted, isHere), ''].join('\n')
}

/** The text of a unit, for an installation. */
export function unitText(unit: string, { node, script }: Installation): string {
  const command = [node, script].map(quoted).join(' ')
  return packaged(unit).replaceAll(`=${PACKAGED}`, () => `=${command}`)
}

/** Quotes a path as systemd.service(5) and systemd.unit(5) have it. */
function quoted(path: string): string {
  const escaped = path.replaceAll('%', '%%').replaceAll('$', () => '$$')
  return /[\s"'\\;]/.test(path) ? `"${escaped.replaceAll(/["\\]/g, '\\$&')}"` : escaped
}

/** Reads a file of the folder `packaging`. The package's own name resolves from cli/ and from dist/cli/. */
function packaged(name: string): string {
  const place = new URL(`packaging/${name}`, import.meta.resolve('faithd/package.json'))
  return readFileSync(place, 'utf8')
}

function parse(args: readonly string[]): Wanted {
  const values = strict(args)
  const { instance, print = false, force = false, root = '/' } = values
  if (instance !== undefined && !/^[\w:.-]+$/.test(instance)) {
    throw new UsageError(
      `--instance: '${instance}' is not a name of letters, digits and any of :_.-`,
    )
  }
  return { instance, print, force, root }
}

function strict(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: INSTALL_OPTIONS, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError(`install-service: ${error instanceof Error ? error.message : ''}`)
  }
}

/** Refuses to replace a file that has another text: the operator may have written it. */
function refuseOther({ root, force }: Wanted, path: string, text: string): void {
  const file = join(root, path)
  if (force || !existsSync(file) || readFileSync(file, 'utf8') === text) return
  throw new ExitError(
    Exit.config,
    `${file} exists, and differs from the one for this installation; compare it with --print, or replace it with --force`,
  )
}

function write({ root }: Wanted, path: string, text: string): string {
  const file = join(root, path)
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return `${file} is as it should be`
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isForbidden = code === 'EACCES' || code === 'EPERM'
    throw new ExitError(isForbidden ? Exit.permission : Exit.unavailable, message)
  }
  return `wrote ${file}`
}

/** Makes the user of the service, and has systemd read the unit. */
function tellSystemd(): string[] {
  return [
    ['systemd-sysusers', 'faithd.conf'],
    ['systemctl', 'daemon-reload'],
  ].map(([program = '', argument = '']) => {
    try {
      execFileSync(program, [argument], { stdio: ['ignore', 'ignore', 'pipe'] })
      return `ran ${program} ${argument}`
    } catch (error) {
      throw new ExitError(Exit.unavailable, (error as Error).message.trim())
    }
  })
}

function hiddenPaths({ node, script }: Installation): string[] {
  return [node, script].flatMap((path) => {
    const folder = HIDDEN.find((hidden) => path.startsWith(hidden))
    if (folder === undefined) return []
    return [`warning: the service cannot read ${path}: install it outside ${folder}, for all users`]
  })
}

function nextSteps({ instance, root }: Wanted, isHere: boolean): string[] {
  const name = instance === undefined ? 'faithd' : `faithd@${instance}`
  const file = `/etc/faithd/${instance ?? 'faithd'}.toml`
  const steps = [
    ...(isHere ? [] : ['systemd-sysusers faithd.conf && systemctl daemon-reload']),
    ...(existsSync(join(root, file)) ? [] : [`write ${file}, with keepfaith = true`]),
    `systemctl enable --now ${name}`,
    `systemctl status ${name}`,
  ]
  return ['Next:', ...steps.map((step) => `  ${step}`)]
}
