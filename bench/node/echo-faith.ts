// Runs an echo over a faith listener: `echo-faith PORT…`.
import { createFaithInterface, setKeepfaith } from '../../index.js'
import { echo } from './echo.js'

setKeepfaith(true)
const faith = await createFaithInterface({ name: 'faith0', prefixes: ['64:ff9b::/96'] })
const listener = await faith.listen({ ports: process.argv.slice(2).map(Number) })
listener.on('connection', echo)
