/** A screen of cells, and the bytes that turn one screen into another on a terminal. */

export type Style = 'plain' | 'bold' | 'dim' | 'head' | 'selected' | 'warning'

interface Cell {
  character: string
  style: Style
}

const BLANK: Cell = { character: ' ', style: 'plain' }

/** The cells of a screen, from the upper left. */
export class Grid {
  readonly columns: number
  readonly rows: number
  readonly #cells: Cell[]

  constructor(columns: number, rows: number) {
    this.columns = columns
    this.rows = rows
    this.#cells = Array.from({ length: columns * rows }, () => BLANK)
  }

  /** Writes a text from a cell on. The part beyond the right edge is left out. Each character takes one cell. */
  write(column: number, row: number, text: string, style: Style = 'plain'): void {
    if (row < 0 || row >= this.rows) return
    let at = column
    for (const character of text) {
      if (at >= this.columns) return
      if (at >= 0) this.#cells[row * this.columns + at] = { character, style }
      at += 1
    }
  }

  /** Writes a text, and gives the rest of its row the same style. */
  line(row: number, text: string, style: Style = 'plain'): void {
    this.write(0, row, text.padEnd(this.columns), style)
  }

  at(column: number, row: number): Cell {
    return this.#cells[row * this.columns + column] ?? BLANK
  }

  /** Gives a row as text, without the blanks at its end. */
  text(row: number): string {
    const characters = Array.from(
      { length: this.columns },
      (_, column) => this.at(column, row).character,
    )
    return characters.join('').trimEnd()
  }
}

/** The parameters of SGR for each style, with colours and without. */
const COLOURED: Readonly<Record<Style, string>> = {
  plain: '0',
  bold: '0;1',
  dim: '0;2',
  head: '0;7',
  selected: '0;30;46',
  warning: '0;1;31',
}
const COLOURLESS: Readonly<Record<Style, string>> = {
  ...COLOURED,
  head: '0;1;4',
  selected: '0;7',
  warning: '0;1',
}

/** DEC mode 2026: the terminal shows what is between both at once. Terminals without it ignore it. */
const BEGIN = '\u001b[?2026h'
const END = '\u001b[?2026l'

/**
 * Gives the bytes that turn a screen into another: the cells that differ, and the moves between them. Without an earlier
 * screen of that size it clears the terminal and draws each cell.
 */
export function changes(before: Grid | undefined, after: Grid, colours: boolean): string {
  const styles = colours ? COLOURED : COLOURLESS
  const known =
    before !== undefined && before.columns === after.columns && before.rows === after.rows
      ? before
      : new Grid(after.columns, after.rows)
  let text = known === before ? '' : '\u001b[0m\u001b[2J'
  let style: Style = 'plain'
  for (let row = 0; row < after.rows; row += 1) {
    // The column that the cursor is in, if it is in this row.
    let cursor = -1
    for (let column = 0; column < after.columns; column += 1) {
      const cell = after.at(column, row)
      const old = known.at(column, row)
      if (cell.character === old.character && cell.style === old.style) continue
      if (cursor !== column) text += `\u001b[${row + 1};${column + 1}H`
      if (cell.style !== style) text += `\u001b[${styles[cell.style]}m`
      ;({ style } = cell)
      text += cell.character
      cursor = column + 1
    }
  }
  if (text === '') return ''
  return `${BEGIN}${text}${style === 'plain' ? '' : '\u001b[0m'}${END}`
}
