import { joinBlock, splitBlock } from "./block.ts";
import { writeJson } from "./json.ts";
import { malformed } from "./malformed.ts";
import { type JobRecord, parseRecord, type WrittenRecord } from "./schema.ts";
import { harmless } from "./show.ts";
import { parseJson, refuseOtherJob, sidecarId } from "./sidecar.ts";
import {
  type Heading,
  readHeading,
  readHeadingOf2024,
  type RecordKind,
  recordKind,
  showsTasks,
  writeHeading,
} from "./subject.ts";

/** Who wrote a record: this tool, or the DataLad extension of 2024 or of version 0.2.5. */
export type RecordForm = "datalad-slurm" | "extension-2024" | "extension-0.2.5";

/** What becomes a commit message. */
export interface MessageToEncode {
  readonly kind: "schedule" | "reschedule" | "finish";
  readonly jobId: string;
  /** For a part of an array: its tasks, as the record's `array_tasks` has them. */
  readonly tasks?: string;
  /** For a finish: Slurm's word for the state; that of the record when absent. */
  readonly state?: string;
  /** The user's own words. */
  readonly message?: string;
  readonly record: WrittenRecord;
}

/** A commit message that holds its record. */
export interface DecodedRecord extends Heading {
  readonly kind: RecordKind;
  readonly form: RecordForm;
  readonly record: JobRecord;
}

/** A commit message whose record is kept beside it, in `.datalad/runinfo/ID`. */
export interface DecodedSidecar extends Heading {
  readonly kind: RecordKind;
  readonly form: Exclude<RecordForm, "datalad-slurm">;
  readonly sidecar: string;
}

/** What {@link decodeMessage} returns. */
export type DecodedMessage = DecodedRecord | DecodedSidecar;

/**
 * Returns the commit message of a job. In the user's message, NUL and lone surrogates become
 * U+FFFD, line ends become newlines, and white space around it is left out. Throws a `TypeError`,
 * since that is a bug, when the record is of another job. The record is not validated: its type says
 * what it must be, and it is validated when it is read.
 */
export function encodeMessage(parts: MessageToEncode): string {
  const { kind, jobId, tasks, message, record } = parts;
  if (record.slurm_job_id !== jobId) {
    throw new TypeError(`The record is of job ${record.slurm_job_id} and not of ${jobId}`);
  }
  const state = parts.state ?? record.datalad_slurm.state;
  return joinBlock({
    head: writeHeading(kind, jobId, state, message, tasks),
    json: writeJson(record),
  });
}

/**
 * Returns what a commit message records of a job, or undefined for a commit that is not ours. Throws
 * a {@link ToolError} that names the commit and what is malformed.
 */
export function decodeMessage(commitId: string, message: string): DecodedMessage | undefined {
  const kind = recordKind(message);
  if (kind === undefined) return undefined;
  const { head, json } = splitBlock(commitId, message);
  const value = parseJson(commitId, json);
  const older = kind === "run" ? "extension-0.2.5" : "extension-2024";
  const sidecar = sidecarId(commitId, value);
  if (sidecar !== undefined) {
    return { kind, form: older, sidecar, ...headingOf(older, commitId, kind, head) };
  }
  const record = parseRecord(commitId, value);
  const form = record.datalad_slurm === undefined ? older : "datalad-slurm";
  const heading = headingOf(form, commitId, kind, head);
  refuseOtherJob(commitId, heading.jobId, record);
  refuseOtherTasks(commitId, heading.tasks, record);
  return { kind, form, record, ...heading };
}

/** Throws when the subject of a part names other tasks than its record. */
function refuseOtherTasks(commitId: string, shown: string | undefined, record: JobRecord): void {
  if (shown === undefined) return;
  const tasks = record.datalad_slurm?.array_tasks;
  if (tasks !== undefined && showsTasks(shown, tasks)) return;
  throw malformed(
    commitId,
    `Its subject names the tasks ${shown} and its record ${
      tasks === undefined ? "none" : harmless(tasks)
    }`,
  );
}

function headingOf(form: RecordForm, commitId: string, kind: RecordKind, head: string): Heading {
  const read = form === "extension-2024" ? readHeadingOf2024 : readHeading;
  return read(commitId, kind, head);
}
