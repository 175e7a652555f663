import { finishedTasks, type RecordedJob } from "../dataset/history.ts";
import { submittedTasks } from "../dataset/task_paths.ts";
import { jobKey } from "../slurm/query.ts";
import { IndexSet } from "../slurm/array.ts";
import type { JobQuery, JobReport } from "../slurm/report.ts";
import { taskRuns } from "../slurm/task_runs.ts";
import { logsDependOnRuns } from "./job_files.ts";
import { SeenFiles } from "./log_names.ts";

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

/** A job, and what Slurm has said of its state, where it was asked. */
export interface ReportedJob {
  readonly job: RecordedJob;
  readonly report?: JobReport | undefined;
}

/**
 * Returns a function that gives jobs what Slurm says of their runs: those of which the names of
 * log files depend on it, and arrays with tasks that may never have started. Slurm is asked once for
 * all of them, and not at all where there are none.
 */
export async function withRuns(
  root: string,
  jobs: readonly ReportedJob[],
): Promise<(job: RecordedJob) => RecordedJob> {
  const seen = new SeenFiles();
  const depending = jobs.filter(({ job, report }) =>
    mayBeIdle(report).size > 0 || logsDependOnRuns(root, job, seen)
  );
  if (depending.length === 0) return (job) => job;
  const told = await taskRuns(depending.map(({ job, report }) => ({
    ...queryOf(job),
    ...(report?.end === undefined ? {} : { end: report.end }),
  })));
  const known = new Map(depending.flatMap(({ job, report }) => {
    const { runs = new Map(), isKnown = false } = told.get(jobKey(queryOf(job))) ?? {};
    if (!isKnown) return [];
    const idle = new IndexSet();
    for (const task of mayBeIdle(report)) {
      if (runs.get(task)?.node === undefined) idle.add(task);
    }
    return [[job, { ...job, ran: { runs, idle } }] as const];
  }));
  return (job) => known.get(job) ?? job;
}

/** Slurm's words for the end of a task that may never have started. */
const WITHOUT_START: ReadonlySet<string> = new Set(["CANCELLED", "DEADLINE"]);

function mayBeIdle(report: JobReport | undefined): IndexSet {
  const tasks = new IndexSet();
  for (const { state, indices } of report?.tasks ?? []) {
    if (WITHOUT_START.has(state)) tasks.addAll(IndexSet.of(indices));
  }
  return tasks;
}
