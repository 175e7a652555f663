import { openDataset } from "../dataset/dataset.ts";
import { moveEpoch } from "../git/refs.ts";
import { breakLock, inspectLock, type LockState } from "../store/lock.ts";

/** What `unlock` found, and whether it broke the lock. */
export interface UnlockResult {
  /** The root of the dataset. */
  readonly root: string;
  readonly state: LockState;
  readonly broken: "broken" | "gone" | undefined;
}

/**
 * Shows who holds the repository lock; breaks it where its token is given, on the user's word that
 * the holder is dead.
 */
export async function unlock(
  directory: string | undefined,
  force: string | undefined,
): Promise<UnlockResult> {
  const { root, repository, store } = await openDataset(directory);
  const state = inspectLock(store.lock);
  const broken = force === undefined
    ? undefined
    : await breakLock(store.lock, force, (_token, epoch) => moveEpoch(repository, epoch));
  return { root, state, broken };
}
