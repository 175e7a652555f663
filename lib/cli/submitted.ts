import type { SubmittedJob } from "../commands/submission.ts";
import type { SubmissionRequest } from "../commands/submission_request.ts";
import type { RecordedJob } from "../dataset/history.ts";
import { harmless } from "../record/show.ts";
import { EXIT } from "./exit.ts";
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
  { root, jobId, cluster, commit, finisher, warnings }: SubmittedJob,
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
    ...(finisher === undefined ? {} : {
      auto_finish: "jobId" in finisher
        ? { slurm_job_id: finisher.jobId }
        : { message: `There is no finishing job: ${finisher.problem}` },
    }),
    ...(warnings.length === 0 ? {} : { warnings: [...warnings] }),
  };
}

/** Returns why a job has no finishing job although it was to have one; undefined otherwise. */
export function finisherProblem({ finisher }: SubmittedJob): string | undefined {
  return finisher !== undefined && "problem" in finisher ? finisher.problem : undefined;
}

function originalFields(original: RecordedJob | undefined) {
  return original === undefined
    ? {}
    : { original_slurm_job_id: original.jobId, original_commit: original.commit };
}

/**
 * Shows a job that was submitted, sbatch's own line first, and returns the exit code: 0, also where
 * sbatch has refused its finishing job. Whoever tried again would submit the job twice.
 */
export function showSubmitted(
  terminal: Terminal,
  action: "schedule" | "reschedule",
  job: SubmittedJob,
  original?: RecordedJob,
): number {
  for (const line of job.stderr.trimEnd().split("\n")) if (line !== "") terminal.say(line);
  for (const warning of job.warnings) terminal.warn(harmless(warning));
  const { jobId, finisher } = job;
  const problem = finisherProblem(job);
  if (terminal.json) {
    terminal.record(submittedRecord(action, job, original));
  } else {
    const cluster = job.cluster === undefined ? "" : ` on cluster ${job.cluster}`;
    terminal.result(`Submitted batch job ${jobId}${cluster}`);
    terminal.result(`Recorded in commit ${job.commit}`);
    if (finisher !== undefined && "jobId" in finisher) {
      terminal.result(`Job ${finisher.jobId} will finish it`);
    }
  }
  if (problem === undefined) return EXIT.done;
  terminal.warn(`Job ${jobId} has no finishing job: ${harmless(problem)}`);
  terminal.hint(`When it is over: datalad-slurm finish ${jobId}`);
  return EXIT.done;
}
