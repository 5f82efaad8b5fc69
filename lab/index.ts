/**
 * A network on one machine: hosts in network namespaces, and programs that run in them. Tests, the demo and the
 * benchmark use it.
 */
export { authorityArguments, nsdArguments, unboundArguments } from './dns-servers.js'
export { createLab, Lab } from './lab.js'
export type { LabOptions } from './lab.js'
export { Host, Router, nodeCommand, userArguments } from './host.js'
export type { RunOptions, RunResult, SpawnOptions } from './host.js'
export { LabProcess } from './process.js'
export type { Exit } from './process.js'
export { NginxServer, Server } from './server.js'
export { addresses, captured, faithPrefix, namespaces } from './topology.js'
export * from './programs.js'
export { waitFor } from './wait.js'
