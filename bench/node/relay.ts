// Runs the native relay with an access list of LENGTH rules: `relay LENGTH`.
import { createFaithInterface, setKeepfaith } from '../../index.js'
import type { AccessRule } from '../../index.js'

/** Denials of single addresses that the load never dials, no two of them adjacent. */
function denials(count: number): AccessRule[] {
  return Array.from({ length: count }, (_, index) => {
    const address = 2 * index
    return {
      action: 'deny',
      destination: `10.${address >> 16}.${(address >> 8) & 255}.${address & 255}`,
    }
  })
}

const length = Number(process.argv[2])
setKeepfaith(true)
const faith = await createFaithInterface({ name: 'faith0', prefixes: ['64:ff9b::/96'] })
await faith.relay({
  ports: 'all',
  accessList: [...denials(length - 1), { action: 'permit', destination: '198.51.100.0/24' }],
  sessionEvents: false,
})
