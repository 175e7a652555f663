import { isAncestor, newestRecordedCommits } from "../git/log.ts";
import { ToolError } from "../errors.ts";
import { readOpenJobsCache } from "../store/open_jobs.ts";
import type { Dataset } from "./dataset.ts";
import { decodeCommit, openAfter, type RecordedJob } from "./history.ts";

/**
 * Returns the open jobs, oldest first, as far as they can be found within so many milliseconds, the
 * newest being found first. Nothing is written.
 */
export async function peekOpenJobs(dataset: Dataset, timeoutMs: number): Promise<RecordedJob[]> {
  const { root, head } = dataset;
  const cached = readOpenJobsCache(dataset.store.openJobs);
  if (cached?.head === head) return cached.jobs as RecordedJob[];
  const known = cached !== undefined && await isAncestor(root, cached.head, head)
    ? cached
    : undefined;
  const found: RecordedJob[] = [];
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
