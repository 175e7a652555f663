import { finishedTasks, type RecordedJob } from "../dataset/history.ts";
import { submittedTasks } from "../dataset/task_paths.ts";
import { jobKey } from "../slurm/query.ts";
import type { JobQuery } from "../slurm/report.ts";
import { taskRuns } from "../slurm/task_runs.ts";
import { dependsOnRuns } from "./job_files.ts";

/** Returns the question to Slurm about a recorded job; of an array about the tasks that are open. */
export function queryOf(recorded: RecordedJob): JobQuery {
  const { jobId, record } = recorded;
  const { cluster, submitted_at, job } = record.datalad_slurm ?? {};
  // What is finished already may be gone from Slurm's memory.
  const open = recorded.finished && submittedTasks(recorded)?.without(finishedTasks(recorded));
  const expected = open === undefined || open.size === 0 ? job?.array : `${open}`;
  return {
    jobId,
    ...(cluster === undefined ? {} : { cluster }),
    ...(submitted_at === undefined ? {} : { submittedAt: new Date(submitted_at) }),
    ...(expected === undefined ? {} : { expected }),
    ...(job?.components === undefined ? {} : { components: job.components }),
    ...(job?.submit_time === undefined ? {} : { slurmSubmit: new Date(job.submit_time) }),
  };
}

/**
 * Returns jobs with what Slurm says of their runs, by the jobs given: those of which the names of
 * log files depend on it. Slurm is asked once for all of them, and not at all where there are none.
 */
export async function withRuns(
  root: string,
  jobs: readonly RecordedJob[],
): Promise<(job: RecordedJob) => RecordedJob> {
  const depending = jobs.filter((job) => dependsOnRuns(root, job));
  if (depending.length === 0) return (job) => job;
  const runs = await taskRuns(depending.map(queryOf));
  const known = new Map(depending.map((job) => {
    const own = runs.get(jobKey(queryOf(job)));
    return [job, own === undefined || own.size === 0 ? job : { ...job, runs: own }];
  }));
  return (job) => known.get(job) ?? job;
}
