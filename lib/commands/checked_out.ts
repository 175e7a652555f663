import { type Dataset, openDataset } from "../dataset/dataset.ts";
import { asToolError } from "../errors.ts";
import { checkOut } from "../git/checkout.ts";
import { resolveCommit } from "../git/refs.ts";
import { uninterrupted } from "../process/interruption.ts";
import { listEntries, readEntry } from "../store/journal.ts";
import { isSameProcess, ownIdentity } from "../store/lock_identity.ts";
import type { LockPatience } from "./locked.ts";

/** What is checked out for jobs to be submitted from. */
export interface Place {
  readonly commit: string;
  /** A branch that is made there. */
  readonly branch: string | undefined;
}

/**
 * Submits jobs from another place, and returns what that returns. Where none was submitted, HEAD
 * goes back and the branch away: the same command can be given again.
 */
export async function checkedOut<Result>(
  dataset: Dataset,
  { commit, branch }: Place,
  patience: LockPatience,
  submitJobs: (dataset: Dataset) => Promise<Result>,
): Promise<Result> {
  const goBack = await uninterrupted(() => checkOut(dataset.repository, commit, branch));
  try {
    return await submitJobs(await openDataset(dataset.root));
  } finally {
    await uninterrupted(async () => {
      try {
        if (await isUnused(dataset, commit)) await goBack();
      } catch (error) {
        // What has led here is what the command ends with.
        const { message } = asToolError(error) ?? {};
        if (message === undefined) throw error;
        patience.say?.(`Note: HEAD is not where it was: ${message}`);
      }
    });
  }
}

/** Whether no job has been recorded on a commit, and none is in doubt that would be. */
async function isUnused({ repository, store }: Dataset, commit: string): Promise<boolean> {
  if (await resolveCommit(repository, "HEAD") !== commit) return false;
  return !listEntries(store.journal).some((token) => {
    const entry = readEntry(store.journal, token);
    return entry?.kind === "submission" && isSameProcess(entry.owner, ownIdentity());
  });
}
