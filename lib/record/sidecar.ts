import { readJson } from "./json.ts";
import { malformed, shown } from "./malformed.ts";
import { type JobRecord, parseRecord } from "./schema.ts";

/**
 * Returns the id of a sidecar record (`.datalad/runinfo/ID`) that stands in place of the record, or
 * undefined when the value is no text. Throws a {@link ToolError} for text that is no such id.
 */
export function sidecarId(commitId: string, value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  // DataLad takes the MD5 sum of the record. The id becomes part of a path.
  if (/^[0-9a-f][0-9a-f-]{0,127}$/i.test(value)) return value;
  throw malformed(commitId, `It is not the id of a sidecar record: ${shown(value)}`);
}

/**
 * Returns the record in a sidecar, given its decompressed JSON lines, of which DataLad reads the
 * first. With `jobId`, that of the subject, a record of another job is refused. Throws a
 * {@link ToolError} that names the commit and what is malformed.
 */
export function parseSidecar(commitId: string, jsonLines: string, jobId?: string): JobRecord {
  const line = jsonLines.split("\n").find((candidate) => candidate.trim() !== "");
  if (line === undefined) throw malformed(commitId, "Its sidecar record is empty");
  const record = parseRecord(commitId, parseJson(commitId, line));
  if (jobId !== undefined) refuseOtherJob(commitId, jobId, record);
  return record;
}

/** Returns the value of a record's text; throws a {@link ToolError} when it is not JSON. */
export function parseJson(commitId: string, text: string): unknown {
  try {
    return readJson(text);
  } catch (cause) {
    // RangeError: nested too deeply.
    if (!(cause instanceof SyntaxError || cause instanceof RangeError)) throw cause;
    throw malformed(commitId, "It is not JSON", { cause });
  }
}

/** Throws a {@link ToolError} when a record is of another job than the subject names. */
export function refuseOtherJob(commitId: string, jobId: string, record: JobRecord): void {
  if (record.slurm_job_id === jobId) return;
  throw malformed(
    commitId,
    `Its subject names job ${jobId} and its record job ${record.slurm_job_id}`,
  );
}
