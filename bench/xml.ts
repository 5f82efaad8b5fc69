/** Helpers for writing SVG. */

export function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Rounds to a tenth of a pixel. */
export const round = (value: number) => Math.round(value * 10) / 10
