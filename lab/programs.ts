/**
 * The lab's client programs. Each runs in a host as its own process, because a Node process cannot make a socket in
 * another namespace. Each prints one line of JSON; these are its shapes.
 */
import { fileURLToPath } from 'node:url'

import { nodeCommand } from './host.js'
import type { Command, Host, RunOptions } from './host.js'

/** The address and port to dial. */
export interface Target {
  address: string
  port?: number
}

/** Bytes that arrived, and their SHA-256 at each end. */
export interface Stream {
  bytes: number
  sent?: string
  received?: string
}

export interface TransferResult {
  up: Stream
  down: Stream
  seconds: number
}

/** Sends `up` and receives `down` bytes at the same time; the other side is `server.peer()`. Default: 1 GiB each. */
export async function transfer(
  host: Host,
  target: Target & { up?: number; down?: number },
): Promise<TransferResult> {
  return await runProgram(host, 'transfer', target, { timeout: 300_000 })
}

export interface TransfersResult {
  count: number
  /** Transfers of which every byte arrived as it was sent, both ways. */
  exact: number
  errors: Record<string, number>
}

/** As {@link transfer}, on `count` (200) connections at once, with 2 MiB each way. */
export async function transfers(
  host: Host,
  target: Target & { count?: number; up?: number; down?: number },
): Promise<TransfersResult> {
  return await runProgram(host, 'transfers', target, { timeout: 170_000 })
}

export interface SessionsResult {
  count: number
  /** Sessions whose message came back right after opening, and again when all were open. */
  before: number
  after: number
  /** Failures by error code. */
  errors: Record<string, number>
  seconds: number
}

/** Opens `count` sessions at once with `server.echo()`; default 2,000. */
export async function sessions(
  host: Host,
  target: Target & { count?: number },
): Promise<SessionsResult> {
  return await runProgram(host, 'sessions', target, { timeout: 120_000 })
}

export interface ChurnResult {
  count: number
  done: number
  errors: Record<string, number>
  seconds: number
}

/** Opens and closes `count` short sessions with `server.echo()`, `concurrency` at a time; defaults 20,000 and 64. */
export async function churn(
  host: Host,
  target: Target & { count?: number; concurrency?: number },
): Promise<ChurnResult> {
  return await runProgram(host, 'churn', target, { timeout: 300_000 })
}

export interface Arrived {
  bytes: number
  sha256: string
}

export interface HalfCloseResult {
  expected: { up: Arrived; down: Arrived }
  clientFirst: { up?: Arrived; down: Arrived }
  serverFirst: { up?: Arrived; down: Arrived }
}

/** Half-closes from either side with `bytes` (default 16 MiB) each way; the other side is `server.peer()`. */
export async function halfClose(
  host: Host,
  target: Target & { bytes?: number },
): Promise<HalfCloseResult> {
  return await runProgram(host, 'halfclose', target, { timeout: 60_000 })
}

export interface ResetResult {
  /** An error's code, or `end` if the abort looked like an orderly end. */
  seenByClient: string
  seenByServer: string
}

/** Aborts a connection from either side; the other side is `server.peer()`. */
export async function reset(host: Host, target: Target): Promise<ResetResult> {
  return await runProgram(host, 'reset', target)
}

export interface ConnectResult {
  connected: boolean
  /** The system's error code if the connect failed: `ECONNREFUSED`, `EHOSTUNREACH` … */
  code?: string
  /** Milliseconds until it connected or failed. */
  milliseconds: number
  /** With `watch`: the first event after connecting, `data`, `end` or an error's code. */
  afterwards?: string
}

/** Dials once. `watch: 1` stays connected to see the next event. */
export async function connect(
  host: Host,
  target: Target & { watch?: 0 | 1; timeout?: number },
): Promise<ConnectResult> {
  return await runProgram(host, 'connect', target)
}

export interface UdpResult {
  /** The system's code for the ICMP error, or `ETIMEDOUT` for silence. */
  code?: string
  answered?: boolean
  milliseconds: number
}

/** Sends one datagram and waits for an answer, an error or the timeout. */
export async function udp(host: Host, target: Target & { timeout?: number }): Promise<UdpResult> {
  return await runProgram(host, 'udp', target)
}

export interface GarbageResult {
  sent: number
  /** Packets that the sender's own kernel refused. */
  refused: number
  kinds: Record<string, number>
}

/** Sends `count` of every kind of malformed packet, through the network or straight into `device`. */
export async function garbage(
  host: Host,
  target: Target & { device?: string; source?: string; count?: number; seed?: number },
): Promise<GarbageResult> {
  return await runProgram(host, 'garbage', target, { timeout: 60_000 })
}

/** The path of a lab program. */
export function program(name: string): string {
  return fileURLToPath(
    new URL(`programs/${name}${name === 'garbage' ? '.py' : '.ts'}`, import.meta.url),
  )
}

async function runProgram<Result>(
  host: Host,
  name: string,
  options: object,
  run: RunOptions = {},
): Promise<Result> {
  const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)])
  const file = program(name)
  const command: Command =
    name === 'garbage' ? ['python3', [file, ...args]] : nodeCommand(file, args)
  const { code, signal, stdout, stderr } = await host.run(...command, run)
  if (code !== 0)
    throw new Error(`${name} in ${host.role} ended with ${signal ?? code}:\n${stderr}`)
  return JSON.parse(stdout) as Result
}
