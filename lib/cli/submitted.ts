import type { SubmittedJob } from "../commands/submission.ts";
import type { SubmissionRequest } from "../commands/submission_request.ts";
import type { RecordedJob } from "../dataset/history.ts";
import { harmless } from "../record/show.ts";
import { aboutDataset } from "./json/about.ts";
import type { PlannedRecord, SubmittedRecord } from "./json/records.ts";
import type { Terminal } from "./terminal.ts";

/** Returns the object for a job that would be submitted. */
export function plannedRecord(
  action: "schedule" | "reschedule",
  root: string,
  { record, command }: SubmissionRequest,
  original?: RecordedJob,
): PlannedRecord {
  return {
    action,
    status: "ok",
    ...aboutDataset(root),
    dry_run: true,
    cmd: record.cmd,
    command,
    pwd: record.pwd,
    inputs: record.inputs,
    outputs: record.outputs,
    ...originalFields(original),
  };
}

/** Returns the object for a job that was submitted. */
export function submittedRecord(
  action: "schedule" | "reschedule",
  { root, jobId, cluster, commit }: SubmittedJob,
  original?: RecordedJob,
): SubmittedRecord {
  return {
    action,
    status: "ok",
    ...aboutDataset(root),
    slurm_job_id: jobId,
    ...(cluster === undefined ? {} : { cluster }),
    commit,
    ...originalFields(original),
  };
}

function originalFields(original: RecordedJob | undefined) {
  return original === undefined
    ? {}
    : { original_slurm_job_id: original.jobId, original_commit: original.commit };
}

/** Shows a job that was submitted; the first line is sbatch's own. */
export function showSubmitted(
  terminal: Terminal,
  action: "schedule" | "reschedule",
  job: SubmittedJob,
  original?: RecordedJob,
): void {
  for (const line of job.stderr.trimEnd().split("\n")) if (line !== "") terminal.say(line);
  for (const warning of job.warnings) terminal.warn(harmless(warning));
  if (terminal.json) return terminal.record(submittedRecord(action, job, original));
  const cluster = job.cluster === undefined ? "" : ` on cluster ${job.cluster}`;
  terminal.result(`Submitted batch job ${job.jobId}${cluster}`);
  terminal.result(`Recorded in commit ${job.commit}`);
}
