/** Lays text out in columns, as wide as the terminal at most. */

export interface Column<Row> {
  title: string
  align?: 'right'
  value(row: Row): string
  /** The least width, so that a column stays in its place while its texts change. */
  least?: number
  /** The column may be narrower than its texts, which lose their middle then. */
  elastic?: true
  /** The column is left out where the table is too wide, the last one first. */
  spare?: true
}

const GAP = 2
/** The narrowest that an elastic column gets. */
const NARROW = 12

/** Makes the lines of a table, its titles first. */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
): string[] {
  let shown = columns.map((column) => {
    const texts = rows.map((row) => printable(column.value(row)))
    const least = Math.max(column.title.length, column.least ?? 0)
    const widest = texts.reduce((most, { length }) => Math.max(most, length), least)
    return { column, texts, width: widest }
  })
  const excess = (): number => shown.reduce((sum, each) => sum + each.width + GAP, -GAP) - width
  while (excess() > 0) {
    const last = shown.findLast(({ column }) => column.spare)
    if (last === undefined) break
    shown = shown.filter((each) => each !== last)
  }
  for (;;) {
    const over = excess()
    if (over <= 0) break
    const [widest, next] = shown
      .filter((each) => each.column.elastic && each.width > NARROW)
      .toSorted((one, other) => other.width - one.width)
    if (widest === undefined) break
    // Takes the widest down to the next one, so that elastic columns end up alike.
    const floor = Math.max(NARROW, next === undefined ? 0 : Math.min(next.width, widest.width - 1))
    widest.width = Math.max(floor, widest.width - over)
  }
  const line = (text: (each: (typeof shown)[number]) => string): string =>
    shown
      .map((each) => {
        const cell = cutMiddle(text(each), each.width)
        return each.column.align === 'right' ? cell.padStart(each.width) : cell.padEnd(each.width)
      })
      .join(' '.repeat(GAP))
      .trimEnd()
      .slice(0, width === Infinity ? undefined : width)
  return [
    line(({ column }) => column.title),
    ...rows.map((_, index) => line(({ texts }) => texts[index] ?? '')),
  ]
}

/** Lays out names with their values, which are wrapped. A fact without a value is left out. */
export function facts(
  pairs: readonly (readonly [name: string, value: string | undefined])[],
  width: number,
): string[] {
  const known = pairs.filter((pair): pair is [string, string] => pair[1] !== undefined)
  const widest = known.reduce((most, [{ length }]) => Math.max(most, length), 0)
  return known.flatMap(([name, value]) =>
    wrap(printable(value), width - widest - GAP).map(
      (line, index) => `${(index === 0 ? name : '').padEnd(widest + GAP)}${line}`,
    ),
  )
}

/** Shortens a text by its middle: both ends of an address tell most. */
export function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text
  const tail = Math.floor((width - 1) / 2)
  return `${text.slice(0, width - 1 - tail)}…${tail === 0 ? '' : text.slice(-tail)}`
}

/** Shortens a text by its end. */
export function cutEnd(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}

/** Replaces characters that would move the cursor or take no column or two, such as those of a hostile tag. */
export function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e\u00a1-\u02ff\u2010-\u2027]/gu, '?')
}

/** Breaks a text into lines at its blanks. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
