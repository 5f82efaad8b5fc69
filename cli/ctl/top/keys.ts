/** Reads keys from the bytes of a terminal. */

const SEQUENCES: Readonly<Record<string, string>> = {
  '\u001b[A': 'up',
  '\u001bOA': 'up',
  '\u001b[B': 'down',
  '\u001bOB': 'down',
  '\u001b[H': 'home',
  '\u001b[1~': 'home',
  '\u001bOH': 'home',
  '\u001b[F': 'end',
  '\u001b[4~': 'end',
  '\u001bOF': 'end',
  '\u001b[5~': 'page-up',
  '\u001b[6~': 'page-down',
  '\u001b[3~': 'delete',
  '\u001b': 'escape',
  '\u007f': 'backspace',
  '\b': 'backspace',
  '\r': 'enter',
  '\n': 'enter',
  '\t': 'tab',
  '\u0003': 'interrupt',
  '\u001a': 'suspend',
  '\f': 'redraw',
}

/** Splits what a terminal sent into keys: a character, or the name of a special key. Unknown sequences are left out. */
export function keysOf(text: string): string[] {
  const keys: string[] = []
  // eslint-disable-next-line no-control-regex
  for (const [sequence] of text.matchAll(/\u001b(?:\[[\d;?]*[ -/]*[@-~]|O.)?|[^\u001b]/gsu)) {
    const named = SEQUENCES[sequence]
    if (named !== undefined) keys.push(named)
    else if (sequence.length <= 2 && !sequence.startsWith('\u001b')) keys.push(sequence)
  }
  return keys
}
