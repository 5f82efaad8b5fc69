/**
 * Draws call stacks as a flame graph. Callers are below, the innermost call is on top, and the width of a frame is
 * its share of samples. The order from left to right means nothing. When the drawing is opened by itself, pointing at a
 * frame shows its full name and share.
 */
import type { Frame } from './stacks.js'
import { escape, round } from './xml.js'

const width = 1200
const rowHeight = 16
const margin = 12
const head = 48
/** Minimum width of a frame in pixels. Most frames are narrower, too small to see, and left out. */
const narrowest = 1.2
/** Width of a letter in pixels. */
const letter = 6.1

const css = `
  text { pointer-events: none; font: 10.5px ui-monospace, "DejaVu Sans Mono", Consolas, monospace; fill: #1f2328 }
  .head { font: 600 14px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
  .note { font: 11px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #59636e }
  .back { fill: #fff }
  rect { stroke: #fff; stroke-width: 0.5 }
  .thread { fill: #c8d1da }
  .program { fill: #80b8f0 }
  .kernel { fill: #f5b78a }
  .idle { fill: #eaeef2 }`

interface Box {
  frame: Frame
  depth: number
  x: number
}

export function flameGraph(root: Frame, title: string, note: string): string {
  const scale = (width - 2 * margin) / root.samples
  const boxes = [...placed(root, 0, margin, scale)]
  const rows = Math.max(...boxes.map(({ depth }) => depth)) + 1
  const height = head + rows * rowHeight + margin
  const drawn = boxes.map((box) => {
    const y = head + (rows - 1 - box.depth) * rowHeight
    return drawBox(box, y, box.frame.samples * scale, box.frame.samples / root.samples)
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escape(title)}</title>
<style>${css}
</style>
<rect class="back" width="${width}" height="${height}"/>
<text class="head" x="${margin}" y="20">${escape(title)}</text>
<text class="note" x="${margin}" y="37">${escape(note)}</text>
${drawn.join('\n')}
</svg>
`
}

/** Yields a frame and its calls, from left to right by name, so that graphs can be compared. */
function* placed(frame: Frame, depth: number, x: number, scale: number): Generator<Box> {
  if (frame.samples * scale < narrowest) return
  yield { frame, depth, x }
  let next = x
  const calls = [...frame.calls.values()]
  for (const call of calls.toSorted((one, other) => (one.name < other.name ? -1 : 1))) {
    yield* placed(call, depth + 1, next, scale)
    next += call.samples * scale
  }
}

function drawBox({ frame, x }: Box, y: number, size: number, share: number): string {
  const { name, owner } = frame
  const letters = Math.floor((size - 4) / letter)
  const shown = name.length <= letters ? name : `${name.slice(0, letters - 1)}…`
  const text = letters < 3 ? '' : `<text x="${round(x + 2)}" y="${y + 12}">${escape(shown)}</text>`
  const title = `<title>${escape(name)}, ${(100 * share).toFixed(1)} %</title>`
  return `<rect class="${owner}" x="${round(x)}" y="${y}" width="${round(size)}" height="${rowHeight}">${title}</rect>${text}`
}
