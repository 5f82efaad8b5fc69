/** Compares IP addresses: with networks, and with each other. */
import { BlockList, isIPv6 } from 'node:net'

/** Makes a test that tells if an address is in a network, which is one address or a prefix. */
export function within(network: string): (address: string) => boolean {
  const [address = '', length] = network.split('/')
  const family = familyOf(address)
  const list = new BlockList()
  if (length === undefined) list.addAddress(address, family)
  else list.addSubnet(address, Number(length), family)
  return (one) => familyOf(one) === family && list.check(one, family)
}

/** Gives a text that sorts as the address does. IPv4 addresses come first. */
export function addressKey(address: string): string {
  if (!isIPv6(address)) {
    return `4${address
      .split('.')
      .map((byte) => byte.padStart(3, '0'))
      .join('')}`
  }
  const [head = '', tail = ''] = address.split('::')
  const first = groupsOf(head)
  const last = groupsOf(tail)
  const zeros = Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0')
  return `6${[...first, ...zeros, ...last].map((group) => group.padStart(4, '0')).join('')}`
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':').flatMap(toGroups)
}

/** Gives the groups of a part of an IPv6 address. An IPv4 address at its end is two. */
function toGroups(part: string): string[] {
  if (!part.includes('.')) return [part]
  const [one = 0, two = 0, three = 0, four = 0] = part.split('.').map(Number)
  return [(one << 8) | two, (three << 8) | four].map((group) => group.toString(16))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}
