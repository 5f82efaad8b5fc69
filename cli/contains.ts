/** IP prefixes inside each other. */
import { BlockList, isIPv6 } from 'node:net'

/** Tells if an IP prefix has another inside it. */
export function contains(outer: string, inner: string): boolean {
  const [outerAddress = '', outerLength] = outer.split('/')
  const [innerAddress = '', innerLength] = inner.split('/')
  const family = isIPv6(outerAddress) ? 'ipv6' : 'ipv4'
  const whole = family === 'ipv6' ? 128 : 32
  if (Number(innerLength ?? whole) < Number(outerLength ?? whole)) return false
  const network = new BlockList()
  network.addSubnet(outerAddress, Number(outerLength ?? whole), family)
  return network.check(innerAddress, isIPv6(innerAddress) ? 'ipv6' : 'ipv4')
}
