// Answers DNS queries over UDP for the IPv4 addresses of names, each given as NAME=ADDRESS. Other types of a name have no
// record, and other names do not exist.
import { createSocket } from 'node:dgram'

const [A, IN] = [1, 1]
const HEADER = 12
const [NAME_ERROR, AUTHORITATIVE_RESPONSE] = [3, 0x8400]
const TTL_SECONDS = 60

const names = new Map(process.argv.slice(2).map((text) => text.split('=', 2) as [string, string]))

/** The question of a query: its name, its type, and the place behind it. */
function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let place = HEADER
  for (let length = query.readUInt8(place); length > 0; length = query.readUInt8(place)) {
    labels.push(query.toString('ascii', place + 1, place + 1 + length).toLowerCase())
    place += 1 + length
  }
  return { name: labels.join('.'), type: query.readUInt16BE(place + 1), end: place + 5 }
}

function answerTo(query: Buffer): Buffer {
  const { name, type, end } = questionOf(query)
  const address = names.get(name)
  const found = type === A && address !== undefined
  const header = Buffer.alloc(HEADER)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(AUTHORITATIVE_RESPONSE | (address === undefined ? NAME_ERROR : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(Number(found), 6)
  const answer = [header, query.subarray(HEADER, end)]
  if (found) {
    const record = Buffer.alloc(12)
    // The name is that of the question, behind the header.
    record.writeUInt16BE(0xc000 | HEADER, 0)
    record.writeUInt16BE(A, 2)
    record.writeUInt16BE(IN, 4)
    record.writeUInt32BE(TTL_SECONDS, 6)
    record.writeUInt16BE(4, 10)
    answer.push(record, Buffer.from(address.split('.').map(Number)))
  }
  return Buffer.concat(answer)
}

const socket = createSocket('udp4')
socket.on('message', (query, { address, port }) => socket.send(answerTo(query), port, address))
socket.bind(53, () => process.stdout.write('listening\n'))
