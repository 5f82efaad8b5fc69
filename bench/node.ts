/** Programs in JavaScript on the router. */
import { fileURLToPath } from 'node:url'

import { nodeCommand } from '../lab/index.js'
import { httpPorts } from './bed.js'
import type { Bed } from './bed.js'

/** Starts a program of node/, which is told the ports to listen on unless `args` says something else. */
export function startNode(bed: Bed, file: string, args: readonly number[] = httpPorts): void {
  const path = fileURLToPath(new URL(`node/${file}`, import.meta.url))
  bed.relay(...nodeCommand(path, args.map(String)))
}
