import type { RecordedJob } from "../dataset/history.ts";
import { untrackedFiles } from "../git/untracked.ts";
import { IndexSet } from "../slurm/array.ts";
import type { FinishedJob } from "./finish.ts";
import { jobFiles } from "./job_files.ts";

/**
 * Adds to jobs that were closed without their files the logs that they have left in the work tree,
 * untracked; none that a job which is still open writes to as well.
 */
export async function withUntrackedLogs(
  root: string,
  results: readonly FinishedJob[],
  openJobs: readonly RecordedJob[],
): Promise<FinishedJob[]> {
  const logs = new Map(results.map((result) => [result, logsOfClosed(root, result)]));
  const all = new Set([...logs.values()].flat());
  if (all.size === 0) return [...results];
  for (const job of openJobs) for (const path of jobFiles(root, job).logs) all.delete(path);
  const untracked = await untrackedFiles(root, [...all]);
  return results.map((result) => {
    const own = logs.get(result)?.filter((path) => untracked.has(path)) ?? [];
    return own.length === 0 ? result : { ...result, logs: own };
  });
}

/** Returns the log files of a job, or of its tasks, that were closed; none of a job that ran elsewhere. */
function logsOfClosed(
  root: string,
  { job, outcome, tasks, closedTasks, isLast }: FinishedJob,
): readonly string[] {
  const closed = outcome === "closed" ? tasks : closedTasks;
  if (outcome !== "closed" && closed === undefined || job.record.alt_dir) return [];
  // A log that all tasks write to is still needed as long as some are open.
  const wanted = closed === undefined
    ? undefined
    : { tasks: IndexSet.of(closed), withShared: isLast === true };
  return jobFiles(root, job, wanted).logs;
}
