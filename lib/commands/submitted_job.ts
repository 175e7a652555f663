import { pathBelow } from "../paths.ts";
import type { ToolPart } from "../record/schema.ts";
import { showJob, showJobs, type ShownJob } from "../slurm/show_job.ts";
import type { Submission } from "../slurm/submission.ts";
import { jobKey } from "../slurm/query.ts";

/**
 * Returns what Slurm knows of jobs right after their submission, for their records, in the order
 * given; paths inside the dataset are relative to its root. Empty for one that Slurm has no answer
 * about: it is recorded all the same.
 */
export async function describeSubmissions(
  root: string,
  submissions: readonly Submission[],
): Promise<Pick<ToolPart, "job">[]> {
  const [only, ...others] = submissions;
  if (only !== undefined && others.length === 0) {
    return [describe(root, await showJob(only.jobId, only.cluster))];
  }
  const shown = await showJobs(submissions);
  return submissions.map((submission) => describe(root, shown.get(jobKey(submission))));
}

function describe(root: string, job: ShownJob | undefined): Pick<ToolPart, "job"> {
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
