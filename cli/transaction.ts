/** Steps that are done all or none. */

/** One step. `run` gives what undoes it. */
export interface Step {
  run(): Promise<() => Promise<void>>
}

/**
 * Runs steps in their order. Where one fails, those before it are undone, the last first, and its error is thrown.
 *
 * @param troubled - told of a step that could not be undone
 */
export async function runAll(
  steps: readonly Step[],
  troubled: (error: unknown) => void,
): Promise<void> {
  const done: (() => Promise<void>)[] = []
  try {
    for (const { run } of steps) done.push(await run())
  } catch (error) {
    for (const undo of done.toReversed()) await undo().catch(troubled)
    throw error
  }
}
