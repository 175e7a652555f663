import type { Dataset } from "../dataset/dataset.ts";
import type { RecordedJob } from "../dataset/history.ts";
import { pathsByRepository } from "../dataset/paths.ts";
import { untrackedFiles } from "../git/untracked.ts";
import { joinPath, pathBelow } from "../paths.ts";
import { IndexSet } from "../slurm/array.ts";
import type { FinishedJob } from "./finish.ts";
import { ownAltDir } from "./gather_results.ts";
import { logsThere } from "./job_files.ts";
import { SeenFiles } from "./log_names.ts";

/**
 * Adds to jobs that were closed without their files the logs that they have left, untracked; none
 * that a job which is still open writes to as well.
 */
export async function withUntrackedLogs(
  dataset: Dataset,
  results: readonly FinishedJob[],
  openJobs: readonly RecordedJob[],
): Promise<FinishedJob[]> {
  const { root } = dataset;
  const seen = new SeenFiles();
  const logs = new Map(results.map((result) => [result, logsOfClosed(dataset, result, seen)]));
  const all = new Set([...logs.values()].flat());
  if (all.size === 0) return [...results];
  for (const job of openJobs) {
    for (const path of logsThere(root, job, undefined, seen)) all.delete(path);
  }
  const untracked = await untrackedLogs(root, [...all]);
  return results.map((result) => {
    const own = logs.get(result)?.filter((path) => untracked.has(path)) ?? [];
    return own.length === 0 ? result : { ...result, logs: own };
  });
}

/** Returns those of the logs that no repository tracks or ignores. */
async function untrackedLogs(root: string, logs: readonly string[]): Promise<Set<string>> {
  const isOutside = (path: string) => path.startsWith("/");
  const untracked = new Set(logs.filter(isOutside));
  const inside = logs.filter((path) => !isOutside(path));
  for (const [place, paths] of pathsByRepository(root, inside)) {
    const repository = pathBelow(root, place) ?? ".";
    for (const path of await untrackedFiles(place, paths)) {
      untracked.add(joinPath(repository, path));
    }
  }
  return untracked;
}

/** Returns the log files of a job, or of its tasks, that were closed. */
function logsOfClosed(
  dataset: Dataset,
  { job, outcome, tasks, closedTasks, isLast }: FinishedJob,
  seen: SeenFiles,
): readonly string[] {
  const closed = outcome === "closed" ? tasks : closedTasks;
  if (outcome !== "closed" && closed === undefined) return [];
  if (job.record.alt_dir && ownAltDir(dataset, job) === undefined) return [];
  // A log that all tasks write to is still needed as long as some are open.
  const wanted = closed === undefined
    ? undefined
    : { tasks: IndexSet.of(closed), withShared: isLast === true };
  return logsThere(dataset.root, job, wanted, seen);
}
