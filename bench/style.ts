/** Text styles of a report, which depend on its destination. */
export interface Style {
  bold: (text: string) => string
  dim: (text: string) => string
  width: number
}
