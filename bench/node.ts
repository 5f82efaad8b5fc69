/** Starts JavaScript programs on the router. */
import { fileURLToPath } from 'node:url'

import { nodeCommand } from '../lab/index.js'
import { httpPorts } from './bed.js'
import type { Bed } from './bed.js'

/** Starts a program of node/ with the ports to listen on, or with other `args`. */
export function startNode(bed: Bed, file: string, args: readonly number[] = httpPorts): void {
  const path = fileURLToPath(new URL(`node/${file}`, import.meta.url))
  bed.relay(...nodeCommand(path, args.map(String)))
}
