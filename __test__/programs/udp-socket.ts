/**
 * Binds a UDP socket on a faith interface, and obeys the datagrams that it gets. Prints the address of the socket.
 *
 *   udp-socket.ts '{"port":7}' [--relay]
 *
 * | datagram | answer |
 * |---|---|
 * | `who` | the origin of the datagram, as JSON |
 * | `from PORT` | `here`, from this port of the dialled address |
 * | `size N` | N bytes, each its index modulo 251 |
 * | `marks` | `marked`, with hop limit 9 and traffic class 0xb8 |
 * | `stats` | the counters, as JSON |
 * | `block` | `free`, once datagrams have been dropped meanwhile |
 * | `close` | `closing`, and the socket closes |
 *
 * With `--relay`, a relay of datagrams has every port.
 */
import { createFaithInterface, setKeepfaith, type FaithBindUdpOptions } from '../../index.js'

const [options = '{}', relay] = process.argv.slice(2)

setKeepfaith(true)
// A closed socket does not keep the process running.
setInterval(() => undefined, 1_000_000)
const prefixes = ['64:ff9b::/96', '2001:db8:64::/96']
const faith = await createFaithInterface({ prefixes })
if (relay !== undefined) {
  const accessList = '::/0 permit 198.51.100.0/24'
  await faith.relay({ ports: 'all', protocols: ['udp'], accessList })
}
const udp = await faith.bindUdp(JSON.parse(options) as FaithBindUdpOptions)

/** Blocks the event loop until datagrams were dropped. */
function block(): void {
  const patience = performance.now() + 20_000
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  while (udp.stats().dropped === 0 && performance.now() < patience) Atomics.wait(nothing, 0, 0, 5)
}

udp.on('message', (data, rinfo) => {
  const { address, port, destination } = rinfo
  const [command = '', word = ''] = data.toString().split(' ')
  const answer = (text: string | Uint8Array, more = {}) => udp.send(text, port, address, more)
  if (command === 'who') answer(JSON.stringify(rinfo))
  if (command === 'from') answer('here', { from: { ...destination, port: Number(word) } })
  if (command === 'size')
    answer(Uint8Array.from({ length: Number(word) }, (_, index) => index % 251))
  if (command === 'marks') answer('marked', { hopLimit: 9, trafficClass: 0xb8 })
  if (command === 'stats') answer(JSON.stringify(udp.stats()))
  if (command === 'block') {
    block()
    answer('free')
  }
  if (command === 'close') {
    answer('closing')
    void udp.close()
  }
})
udp.on('error', (error) => console.error(error))
console.log(JSON.stringify(udp.address()))
