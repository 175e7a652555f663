import assert from "node:assert/strict";
import type { infer as Infer } from "zod/mini";
import { type OutputRecord, RECORDS } from "../../lib/cli/json/records.ts";

/** What an object is in the schema. */
export type RecordName = keyof typeof RECORDS;

/** An object that `--json` printed, and what it is. */
export interface Output {
  readonly kind: RecordName;
  readonly record: OutputRecord;
}

/**
 * Returns what `--json` printed; throws unless each line is an object that the schema knows, with
 * no field that the schema does not name.
 */
export function readOutput(stdout: string): Output[] {
  assert(stdout === "" || stdout.endsWith("\n"), "The last line is not whole");
  return stdout.split("\n").slice(0, -1).map((line) => {
    const value: unknown = JSON.parse(line);
    const names = Object.keys(RECORDS) as RecordName[];
    // What the schema does not name is left out, so that only what is whole comes back equal.
    const kind = names.find((name) => {
      const parsed = RECORDS[name].safeParse(value);
      return parsed.success && sameKeys(parsed.data, value);
    });
    if (kind === undefined) throw new Error(`${line}\n${complaints(value)}`);
    return { kind, record: value as OutputRecord };
  });
}

/** Returns the only object that `--json` printed, which must be of that kind. */
export function onlyOutput<Name extends RecordName>(
  stdout: string,
  kind: Name,
): Infer<(typeof RECORDS)[Name]> {
  const [only, ...more] = readOutput(stdout);
  assert.equal(only?.kind, kind, stdout);
  assert.deepEqual(more, []);
  return only?.record as Infer<(typeof RECORDS)[Name]>;
}

function sameKeys(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([key, item]) =>
      [key, sorted(item)] as const
    ),
  );
}

function complaints(value: unknown): string {
  return Object.entries(RECORDS).map(([name, shape]) => {
    const { success, error } = shape.safeParse(value);
    const first = error?.issues[0];
    return `${name}: ${
      success ? "has a field that it does not name" : `${first?.path.join(".")} ${first?.code}`
    }`;
  }).join("\n");
}
