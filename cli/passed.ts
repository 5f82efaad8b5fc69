/** The sockets that a service manager passes by the protocol of sd_listen_fds(3). */

/** The first descriptor that is passed. */
export const FIRST = 3

/** Gives the descriptors passed to this process. It takes the variables out of the environment. */
export function passedDescriptors(environment: NodeJS.ProcessEnv, pid = process.pid): number[] {
  const { LISTEN_PID: meant, LISTEN_FDS: count } = environment
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name]
  const isPassed = Number(meant) === pid && /^[1-9]\d{0,4}$/.test(count ?? '')
  return isPassed ? Array.from({ length: Number(count) }, (_, index) => FIRST + index) : []
}
