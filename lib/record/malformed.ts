import { ToolError } from "../errors.ts";
import { harmless } from "./show.ts";

/** Returns the error for a commit whose job record cannot be understood; it names the commit. */
export function malformed(
  commitId: string,
  what: string,
  options: { hint?: string; cause?: unknown } = {},
): ToolError {
  return new ToolError(
    "refused",
    `Commit ${harmless(commitId)} has a malformed job record: ${what}`,
    options,
  );
}

/** Returns a foreign value for an error message: as JSON, on one line, cut to a length. */
export function shown(value: unknown): string {
  const text = harmless(JSON.stringify(value) ?? "nothing");
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
