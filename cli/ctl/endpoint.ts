import type { Endpoint } from '../control/schemas.js'

/** Writes an address with its port: `[2001:db8::1]:443`, `198.51.100.7:443`. */
export function endpointText({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
