import { isAncestor, newestRecordedCommits } from "../git/log.ts";
import { ToolError } from "../errors.ts";
import { readOpenJobsCache } from "../store/open_jobs.ts";
import type { Dataset } from "./dataset.ts";
import { decodeCommit, openAfter, type RecordedJob } from "./history.ts";

/** The history since the cache was written is short: this only ends what hangs. */
const NEWS_PATIENCE_MS = 2_000;

/**
 * Returns the open jobs, oldest first. Without a cache they are those that can be found in history
 * within so many milliseconds, the newest being found first. Nothing is written.
 */
export async function peekOpenJobs(dataset: Dataset, patienceMs: number): Promise<RecordedJob[]> {
  const { root, head } = dataset;
  const cached = readOpenJobsCache(dataset.store.openJobs);
  if (cached?.head === head) return cached.jobs as RecordedJob[];
  const known = cached !== undefined && await isAncestor(root, cached.head, head)
    ? cached
    : undefined;
  const found: RecordedJob[] = [];
  const timeoutMs = known === undefined ? patienceMs : NEWS_PATIENCE_MS;
  for (const { commit, message } of await newestRecordedCommits(root, timeoutMs, known?.head)) {
    try {
      const job = await decodeCommit(dataset, commit, message);
      if (job !== undefined) found.push(job);
    } catch (error) {
      // Other commands say which record cannot be read.
      if (!(error instanceof ToolError)) throw error;
    }
  }
  return openAfter([...(known?.jobs as RecordedJob[] | undefined ?? []), ...found.reverse()]);
}
