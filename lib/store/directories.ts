/**
 * Where this tool keeps its files: below `datalad-slurm/` in the git common directory, so that all
 * work trees share them and no clone copies them. Everything there is a journal of operations in
 * flight or can be rebuilt from history.
 */
export interface StoreDirectories {
  readonly base: string;
  readonly lock: string;
  readonly journal: string;
  /** Reserved outputs of one work tree. */
  readonly reservations: string;
  /** The open jobs as of some commit, of one work tree. */
  readonly openJobs: string;
}

/** Returns the store's places for a work tree; `worktree` is undefined for the main one. */
export function storeDirectories(
  commonDirectory: string,
  worktree: string | undefined,
): StoreDirectories {
  const base = `${commonDirectory}/datalad-slurm`;
  const name = worktree === undefined ? "main" : `worktree-${worktree}`;
  return {
    base,
    lock: `${base}/lock`,
    journal: `${base}/journal`,
    reservations: `${base}/reservations/${name}`,
    openJobs: `${base}/open-jobs/${name}.json`,
  };
}
