/**
 * The gateways for rlogin and rsh, whose servers trust a client by its address and its privileged port.
 *
 * The connection to the server comes from a privileged port if the client's does. So a user without privilege on the
 * client's host gets none from the relay.
 */
import type { Gateway } from '../gateway.js'
import { isPrivileged } from './error-port.js'
import { RshSession } from './session.js'

/** rlogin (RFC 1282), port 513: nothing in its stream needs help. */
export const rlogin: Gateway = {
  name: 'rlogin',
  port: 513,
  isOn: (configuration) => configuration.rlogin,
  verdict: ({ client }) =>
    isPrivileged(client.port) ? { proceed: true, privilegedLocalPort: true } : undefined,
}

/** rsh, port 514: the server makes a second connection, for the errors of the command. */
export const rsh: Gateway = {
  name: 'rsh',
  port: 514,
  isOn: (configuration) => configuration.rsh,
  verdict: ({ client }) =>
    isPrivileged(client.port)
      ? { proceed: true, socket: true, privilegedLocalPort: true, idleTimeoutMs: 0 }
      : undefined,
  serve: (client, server, place) => void RshSession.serve(client, server, place),
}
