import type { Dataset } from "../dataset/dataset.ts";
import { finishedNames, finishName, readHistory } from "../dataset/history.ts";
import { indexLock, settleDraft } from "../git/index_draft.ts";
import { listEntries, readEntry } from "../store/journal.ts";
import { endingOf, ownIdentity } from "../store/lock_identity.ts";

/**
 * Gives back git's `index.lock` where a finish that is proven dead holds it. A command that has
 * begun before that death would wait for it in vain. Called under the repository lock, under which
 * it was taken; the journal entry stays for the next command.
 */
export async function settleDeadDrafts(dataset: Dataset): Promise<void> {
  const { repository, store } = dataset;
  if (indexLock(repository) === undefined) return;
  const dead = listEntries(store.journal).flatMap((token) => {
    const entry = readEntry(store.journal, token);
    return entry?.kind === "finish" && endingOf(entry.owner, ownIdentity()) !== "unknown"
      ? [entry]
      : [];
  });
  if (dead.length === 0) return;
  const { jobs } = await readHistory(dataset, "--all");
  const finished = finishedNames(jobs);
  for (const entry of dead) {
    const moved = entry.jobs.some(({ key, tasks }) => finished.has(finishName(key, tasks)));
    settleDraft(repository, entry.temporaryIndex, moved);
  }
}
