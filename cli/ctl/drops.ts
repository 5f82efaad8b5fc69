/** Shows the packets that were dropped, by reason. */
import type { Drops } from '../control/schemas.js'
import { table } from './table.js'
import { type Run, show } from './task.js'
import { grouped } from './units.js'

export const run: Run = async ({ daemon }) => show(await daemon.get<Drops>('/v1/drops'), dropLines)

function dropLines({ drops }: Drops, width: number): string[] {
  const some = drops.filter(({ packets }) => packets > 0)
  if (some.length === 0) return ['no packet was dropped']
  const lines = table(
    [
      { title: 'INTERFACE', value: (drop) => drop.interface },
      { title: 'REASON', value: ({ reason }) => reason },
      { title: 'PACKETS', align: 'right', value: ({ packets }) => grouped(packets) },
      { title: 'MEANING', value: ({ meaning }) => meaning },
    ],
    some.toSorted((one, other) => other.packets - one.packets),
    Infinity,
  )
  // The meaning is last, and its end matters least.
  return lines.map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line))
}
