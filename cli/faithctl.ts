#!/usr/bin/env node
/**
 * faithctl: asks and steers a running faithd. It reads the command line, asks the daemon over its control socket, and
 * prints the answer as a table or as JSON.
 */
import { codeOf } from './ctl/commands.js'
import { commandHelp, familyHelp, generalHelp } from './ctl/help.js'
import { type Line, parseLine } from './ctl/parse.js'
import { socketPath } from './ctl/socket-path.js'
import { Exit, ExitError } from './exit.js'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  // head(1) may close the pipe early: that is no error, and nothing is left to do.
  process.stdout.on('error', () => process.exit(Exit.ok))
  try {
    if (args[0] === '__complete') {
      const { complete } = await import('./ctl/complete.js')
      return print(await complete(args.slice(1)))
    }
    return await obey(parseLine(args))
  } catch (error) {
    if (error instanceof ExitError) {
      // A file with several errors has a line for each.
      for (const line of error.message.split('\n')) process.stderr.write(`faithctl: ${line}\n`)
      return error.exitCode
    }
    process.stderr.write(
      `faithctl: a bug: ${error instanceof Error ? error.stack : String(error)}\n`,
    )
    return Exit.software
  }
}

async function obey({ command, family, words, given }: Line): Promise<number> {
  if (given.has('version')) {
    const { version } = await import('./version.js')
    return print(`faithctl ${version()}\n`)
  }
  if (command === undefined) {
    return print(family === undefined ? generalHelp() : familyHelp(family))
  }
  if (given.has('help')) return print(commandHelp(command))
  if (command.name === 'help') return await obey(parseLine([...words, '--help']))

  const [{ Daemon }, { printAgain, printOnce }, run] = await Promise.all([
    import('./ctl/daemon.js'),
    import('./ctl/watch.js'),
    codeOf(command.name),
  ])
  const daemon = new Daemon(socketPath(given))
  try {
    const printed = given.has('watch') ? printAgain : printOnce
    return await printed(run, { command: command.name, words, given, daemon })
  } finally {
    daemon.close()
  }
}

function print(text: string): number {
  process.stdout.write(text)
  return Exit.ok
}
