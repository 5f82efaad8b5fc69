// The words that the project's prose does without, and the form that replaces each: subject first, active voice, and
// the actor by name.

/**
 * A rule. `advice` says what to write instead.
 *
 * @typedef {{ pattern: RegExp, advice: string }} Rule
 */

const actor = 'name the actor: the pump, the kernel, the relay, the client, the server, the user'

/**
 * Words found anywhere in prose.
 *
 * @type {readonly Rule[]}
 */
export const words = [
  { pattern: /\b(?:who|whom)ever\b/gi, advice: actor },
  { pattern: /\b(?:no|some|every|any)body\b/gi, advice: actor },
  { pattern: /\bwhom\b/gi, advice: actor },
  {
    pattern: /\bAnd there (?:is|are)\b/g,
    advice: '"Also available:", or the thing itself as subject',
  },
]

const subject = 'begin with a verb or the subject'

/**
 * Beginnings of a text, such as a line of `--help`, an error or the title of a test.
 *
 * @type {readonly Rule[]}
 */
export const textBeginnings = [
  { pattern: /^(?:what|whatever|who|whose|why)\s/i, advice: `${subject}; name the thing` },
  { pattern: /^whether\s/i, advice: `${subject}: "true if …", "tells whether …", "the relay …"` },
  {
    pattern: /^how (?:much|many|long|often|far|big|large|fast|soon)\b/i,
    advice: `${subject}: "number of …", "time until …"`,
  },
  { pattern: /^how\s/i, advice: `${subject}: "the relay shares …", "steps to …"` },
]

/**
 * Beginnings of a comment or a sentence. A question, which ends in "?", may begin with any of them.
 *
 * @type {readonly Rule[]}
 */
export const beginnings = [
  ...textBeginnings,
  { pattern: /^which\s/i, advice: `${subject}; name the thing` },
  {
    pattern: /^Of\s/,
    advice: `${subject}: "the pump ignores …", not "of … the pump asks nothing"`,
  },
  { pattern: /^that (?:it|they|the|an?|this|no|nothing)\s/i, advice: `${subject}: "shows that …"` },
  // "When the client resets, the relay …" is a sentence. Without the comma it is a piece of one.
  { pattern: /^(?:When|Where)\s(?![^]*,)/, advice: `${subject}: "time of …", "place of …"` },
]
