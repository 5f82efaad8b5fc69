/**
 * Binds a UDP socket that alone keeps the process running, after one that the end of its block closes. Prints `closed` when
 * that one is closed, and `bound` when the other one has the same port. Each datagram is answered with itself; the words
 * `ref`, `unref` and `both` (`unref`, then `ref`) are obeyed once their answer is sent.
 */
import { createFaithInterface, setKeepfaith } from '../../index.js'

setKeepfaith(true)
const faith = await createFaithInterface({ prefixes: ['64:ff9b::/96'] })
{
  await using first = await faith.bindUdp({ port: 7 })
  first.on('close', () => console.log('closed'))
}
const udp = await faith.bindUdp({ port: 7 })
udp.on('message', (data, { port, address }) => {
  const word = data.toString()
  udp.send(data, port, address, () => {
    if (word === 'unref' || word === 'both') udp.unref()
    if (word === 'ref' || word === 'both') udp.ref()
  })
})
console.log('bound')
