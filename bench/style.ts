/** How the text of a report is set off, which depends on where it is printed. */
export interface Style {
  bold: (text: string) => string
  dim: (text: string) => string
  width: number
}
