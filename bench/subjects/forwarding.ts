import type { Subject } from '../subject.js'

export default {
  name: 'forwarding',
  title: 'plain IPv4 forwarding',
  kind: 'limit',
  about: 'the client has IPv4 and the router forwards it: no relay at all',
  lab: { ipv4Client: true },
  dial: (ipv4) => ipv4,
  start: () => undefined,
} satisfies Subject
