import * as z from "zod/mini";
import { malformed, shown } from "./malformed.ts";
import { upgradeOlderForm } from "./older_forms.ts";
import { type JobRecord, jobRecordShape, RECORD_VERSION } from "./shapes.ts";
import { harmless } from "./show.ts";

export {
  type JobRecord,
  RECORD_VERSION,
  type SubmittedJob,
  type TaskPart,
  type ToolPart,
  type WrittenRecord,
} from "./shapes.ts";

/**
 * Returns the validated record of a commit; older forms are upgraded. Throws a {@link ToolError}
 * that names the commit and what is malformed, or that a newer version wrote the record.
 */
export function parseRecord(commitId: string, value: unknown): JobRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformed(commitId, `It is not a JSON object but ${shown(value)}`);
  }
  const record = upgradeOlderForm(value);
  refuseNewerVersion(commitId, record["datalad_slurm"]);
  const fault = recordFault(record);
  if (fault !== undefined) throw malformed(commitId, fault);
  // Not zod's copy: that one loses a key named `__proto__`.
  return record as JobRecord;
}

/** Returns what keeps a value from being a record in the present form, or undefined. */
function recordFault(value: unknown): string | undefined {
  const result = z.safeParse(jobRecordShape(), value);
  return result.success ? undefined : describe(result.error.issues[0], value);
}

function refuseNewerVersion(commitId: string, part: unknown): void {
  if (typeof part !== "object" || part === null) return;
  const { version } = part as { version?: unknown };
  if (typeof version !== "number" || version <= RECORD_VERSION) return;
  throw malformed(commitId, `It has version ${version}, written by a newer datalad-slurm`, {
    hint: `This datalad-slurm reads records up to version ${RECORD_VERSION}: use a newer one`,
  });
}

function describe(issue: z.core.$ZodIssue | undefined, record: unknown): string {
  if (issue === undefined) return "It does not have the form of a record";
  const found = valueAt(record, issue.path);
  const name = harmless(issue.path.join("."));
  return found === undefined
    ? `"${name}" is missing`
    : `"${name}" ${issue.message}: ${shown(found)}`;
}

function valueAt(value: unknown, keys: readonly PropertyKey[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
}
