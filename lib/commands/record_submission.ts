import type { Dataset } from "../dataset/dataset.ts";
import { jobKeyOf, readHistory } from "../dataset/history.ts";
import { createCommit } from "../git/commit.ts";
import { encodeMessage } from "../record/message.ts";
import type { ToolPart, WrittenRecord } from "../record/schema.ts";
import type { Submission } from "../slurm/submission.ts";
import { hasEntry, removeEntry, type SubmissionEntry } from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { locked, type LockPatience } from "./locked.ts";
import { describeSubmission } from "./submitted_job.ts";

/**
 * Commits the record of a submission and drops its journal entry. The commit has its parent's
 * tree: no file, no index and no work tree is touched.
 */
export async function recordSubmission(
  dataset: Dataset,
  entry: SubmissionEntry,
  submission: Submission,
  patience: LockPatience,
): Promise<string> {
  const { repository, root, store } = dataset;
  const record = {
    ...entry.record,
    slurm_job_id: submission.jobId,
    datalad_slurm: {
      ...entry.record["datalad_slurm"] as ToolPart,
      ...(submission.cluster === undefined ? {} : { cluster: submission.cluster }),
      ...await describeSubmission(root, submission),
    },
  } as WrittenRecord;
  const message = encodeMessage({
    kind: entry.reschedule ? "reschedule" : "schedule",
    jobId: submission.jobId,
    ...(entry.message === undefined ? {} : { message: entry.message }),
    record,
  });
  const onBranch = { ...dataset, repository: { ...repository, branch: entry.branch } };
  return await locked(onBranch, patience, async ({ lock, readTip, publish }) => {
    lock.phase("refs only");
    // git refuses a parent that is not the branch's tip any more: only then is it looked up.
    let parent = entry.branch === repository.branch ? dataset.head : (await readTip()).commit;
    for (;; parent = (await readTip()).commit) {
      const recorded = await recordedMeanwhile(onBranch, entry);
      if (recorded !== undefined) return recorded;
      const commit = await createCommit(root, {
        tree: `${parent}^{tree}`,
        parents: [parent],
        message,
        sign: dataset.configuration.getBoolean("commit.gpgsign", false),
      });
      const moved = await publish({
        ref: entry.branch,
        newId: commit,
        oldId: parent,
        reason: message.slice(0, message.indexOf("\n")),
      });
      if (!moved) continue;
      removeEntry(store.journal, entry.token);
      return commit;
    }
  });
}

/** Returns the commit by which another process has recorded a submission that it took up. */
async function recordedMeanwhile(
  dataset: Dataset,
  entry: SubmissionEntry,
): Promise<string | undefined> {
  // Of a dead process's submission another one may have made the commit, and died then.
  const isOurs = entry.owner.pid === ownIdentity().pid && entry.owner.host === ownIdentity().host;
  if (isOurs && hasEntry(dataset.store.journal, entry.token)) return undefined;
  const { jobs } = await readHistory(dataset, entry.branch);
  return jobs.find((job) => job.kind !== "finish" && jobKeyOf(job) === entry.token)?.commit;
}
