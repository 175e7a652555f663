import { cloneId, type Dataset } from "../dataset/dataset.ts";
import { jobKeyOf, openAfter, readHistory, readOpenJobs } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { readTip } from "../git/refs.ts";
import { hasEntry, listEntries, readEntry } from "../store/journal.ts";
import { type Conflict, findHolder, rebuildReservations } from "../store/reservations.ts";
import { reservedPaths } from "./reserved_paths.ts";

/** Throws the error for the first output that an open job holds. */
export async function refuseConflicts(
  dataset: Dataset,
  outputs: readonly string[],
): Promise<void> {
  for (const path of reservedPaths(outputs)) {
    const conflict = findHolder(dataset.store.reservations, path);
    if (conflict !== undefined) throw await conflictError(dataset, conflict);
  }
}

/** Returns the error that names the job and the path in the way. */
export async function conflictError(dataset: Dataset, conflict: Conflict): Promise<ToolError> {
  // Looked at before history: a submission may be recorded meanwhile.
  const isSubmitting = hasEntry(dataset.store.journal, conflict.token);
  const { jobs } = await readOpenJobs(dataset, (await readTip(dataset.repository)).commit);
  const holder = jobs.find((job) => jobKeyOf(job) === conflict.token);
  const who = holder === undefined
    ? conflict.token.startsWith("^")
      ? "an open job of the dataset above"
      : isSubmitting
      ? "a job that is being submitted"
      : "an open job that is not in the history of this branch"
    : `the open job ${holder.jobId} (commit ${holder.commit.slice(0, 10)})`;
  const what = conflict.wanted === conflict.held
    ? `The output ${JSON.stringify(conflict.wanted)}`
    : `The output ${JSON.stringify(conflict.wanted)} overlaps with ${
      JSON.stringify(conflict.held)
    }, which`;
  return new ToolError("refused", `${what} is held by ${who}`, {
    hint: holder === undefined
      ? "Wait for it, or choose another output; `datalad-slurm recover` releases what no job holds"
      : `Finish that job first (datalad-slurm finish ${holder.jobId}), or choose another output`,
  });
}

/**
 * Makes the reservations anew from the open jobs of this clone, on whatever branch, and the
 * submissions in flight.
 */
export async function restoreReservations(dataset: Dataset): Promise<void> {
  const jobs = openAfter((await readHistory(dataset, "--all")).jobs);
  const clone = cloneId(dataset);
  const own = jobs.filter(({ record }) => {
    const job = record.datalad_slurm;
    return job === undefined ||
      job.clone === clone && job.worktree === dataset.repository.worktree;
  });
  const inFlight = listEntries(dataset.store.journal).flatMap((token) => {
    const entry = readEntry(dataset.store.journal, token);
    return entry?.kind === "submission" && entry.worktree === dataset.repository.worktree
      ? [{ token, paths: entry.paths }]
      : [];
  });
  rebuildReservations(dataset.store.reservations, [
    ...own.map((job) => ({ token: jobKeyOf(job), paths: reservedPaths(job.record.outputs) })),
    ...inFlight,
  ]);
}
