import { pathBelow } from "../paths.ts";
import type { ToolPart } from "../record/schema.ts";
import { showJob } from "../slurm/show_job.ts";
import type { Submission } from "../slurm/submission.ts";

/**
 * Returns what Slurm knows of a job right after its submission, for the record; paths inside the
 * dataset are relative to its root. Empty when Slurm has no answer: the job is recorded all the
 * same.
 */
export async function describeSubmission(
  root: string,
  submission: Submission,
): Promise<Pick<ToolPart, "job">> {
  const job = await showJob(submission.jobId, submission.cluster);
  if (job === undefined) return {};
  const inDataset = (path: string | undefined) =>
    path === undefined ? undefined : pathBelow(root, path) ?? path;
  const known = {
    name: job.name,
    work_dir: inDataset(job.workDir),
    stdout: inDataset(job.stdout),
    stderr: inDataset(job.stderr),
    array: job.array,
    partition: job.partition,
    submit_time: job.submitTime === undefined
      ? undefined
      : new Date(job.submitTime * 1000).toISOString(),
  };
  return {
    job: Object.fromEntries(
      Object.entries(known).filter(([, value]) => value !== undefined),
    ),
  };
}
