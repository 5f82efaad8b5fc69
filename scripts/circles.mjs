// Fails when files of a Rust crate, or TypeScript files, import each other in a circle. Part of `npm run lint`.
//
//   node scripts/circles.mjs [ROOT]
import { circlesIn } from './circles/tree.mjs'
import { root } from './steps.mjs'

const circles = circlesIn(process.argv[2] ?? root)
for (const { circle, files: tied } of circles) {
  console.error(`${tied.length} files import each other in a circle:`)
  for (const { from, line, to, text } of circle) {
    console.error(`  ${from}:${line} imports ${to} (${text})`)
  }
  const others = tied.filter((file) => circle.every(({ from }) => from !== file))
  if (others.length > 0) console.error(`  and tied to these: ${others.join(', ')}`)
}
process.exitCode = circles.length > 0 ? 1 : 0
