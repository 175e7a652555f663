import { malformed } from "./malformed.ts";

const OPENING = "=== Do not change lines below ===";
const CLOSING = "^^^ Do not change lines above ^^^";

/** A commit message cut at the markers of its record. */
export interface RecordBlock {
  /** What stands above the record. */
  readonly head: string;
  /** The text of the record: a JSON object, or the quoted id of a sidecar record. */
  readonly json: string;
}

/** Returns a commit message: what stands above the record, and the record between its markers. */
export function joinBlock({ head, json }: RecordBlock): string {
  return `${head}\n\n${OPENING}\n${json}\n${CLOSING}\n`;
}

/**
 * Returns a commit message cut at its LAST opening marker, since older messages may be repeated
 * above it, with records and all. What follows the closing marker, such as a `Signed-off-by` added
 * later, is left out. Throws a {@link ToolError} where a marker is missing.
 */
export function splitBlock(commitId: string, message: string): RecordBlock {
  const lines = message.split(/\r?\n/);
  const opening = lines.lastIndexOf(OPENING);
  if (opening < 0) throw malformed(commitId, `The line "${OPENING}" is missing`);
  const closing = lines.indexOf(CLOSING, opening);
  if (closing < 0) throw malformed(commitId, `The line "${CLOSING}" is missing`);
  return {
    head: lines.slice(0, opening).join("\n"),
    json: lines.slice(opening + 1, closing).join("\n"),
  };
}
