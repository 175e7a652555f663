import assert from "node:assert/strict";
import { type DecodedRecord, decodeMessage } from "../../lib/record/message.ts";

/** Real messages of the DataLad extension, by the name of their file. */
export const FIXTURES = [
  "schedule-2025-01",
  "finish-2025-01",
  "slurm-run-0.2.5",
  "slurm-run-failed-array-0.2.5",
  "slurm-run-rescheduled-0.2.5",
] as const;

/** Returns the text of a recorded message. */
export function fixture(name: typeof FIXTURES[number]): string {
  return Deno.readTextFileSync(new URL(`../../fixtures/records/${name}.txt`, import.meta.url));
}

/** Returns what a recorded message says. */
export function decodeFixture(name: typeof FIXTURES[number]): DecodedRecord {
  return decoded(fixture(name));
}

/** Returns what a message with a record says. */
export function decoded(message: string): DecodedRecord {
  const result = decodeMessage("c0ffee", message);
  assert(result !== undefined && "record" in result);
  return result;
}
