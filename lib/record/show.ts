/**
 * What a terminal would obey or hide instead of showing: control characters (C0, DEL, C1), marks
 * that turn the direction of writing, invisible characters, line separators, lone surrogates.
 */
const HARMFUL =
  // deno-lint-ignore no-control-regex
  /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}\p{Cs}]/gu;

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Returns text of foreign origin as one line that is safe on a terminal: whatever the terminal
 * would obey or hide is shown as an escape such as `\x1b` or `\u202e`.
 */
export function harmless(text: string): string {
  return text.replace(HARMFUL, (character) => SHORT[character] ?? escaped(character));
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\u{${code.toString(16)}}`;
}
