import { text } from "../process/run.ts";
import { git } from "./git.ts";

/** A commit whose message may hold a record. */
export interface LoggedCommit {
  readonly commit: string;
  readonly message: string;
}

/** The commits that a history has more than another one. */
export interface NewCommits {
  /** Oldest first, parents before children. */
  readonly commits: LoggedCommit[];
  /** Whether `since` is an ancestor: it is not after a reset, a rebase or on another branch. */
  readonly linear: boolean;
}

/**
 * Returns the commits reachable from `tip` whose message mentions `[DATALAD `: all of them, or
 * those that `since` does not reach. One pass over the part of history that is asked for.
 */
export async function recordedCommits(
  root: string,
  tip: string,
  since?: string,
): Promise<NewCommits> {
  const [result, linear] = await Promise.all([
    git(root, [
      "-c",
      "log.showSignature=false",
      "log",
      "-z",
      "--topo-order",
      "--reverse",
      "--encoding=UTF-8",
      "--no-color",
      "--fixed-strings",
      "--grep=[DATALAD ",
      "--format=%H%n%B",
      // With `--all`: commits on their way to a branch are in no history yet.
      "--exclude=refs/datalad-slurm/*",
      tip,
      ...(since === undefined ? [] : [`^${since}`]),
      "--",
      // 128: the commit that was looked at before may have been pruned since.
    ], { tolerate: since === undefined ? [] : [128] }),
    since === undefined ? true : isAncestor(root, since, tip),
  ]);
  const commits = text(result.stdout).split("\0").filter((entry) => entry !== "").map(asCommit);
  return { commits, linear };
}

/**
 * Returns the newest commits in the history of HEAD whose message mentions `[DATALAD `, newest
 * first: as many as git finds within so many milliseconds, and none that `since` reaches.
 */
export async function newestRecordedCommits(
  root: string,
  timeoutMs: number,
  since?: string,
): Promise<LoggedCommit[]> {
  const result = await git(root, [
    "-c",
    "log.showSignature=false",
    "log",
    "-z",
    "--encoding=UTF-8",
    "--no-color",
    "--fixed-strings",
    "--grep=[DATALAD ",
    "--format=%H%n%B",
    "HEAD",
    ...(since === undefined ? [] : [`^${since}`]),
    "--",
    // 137: it was stopped (SIGKILL).
  ], { timeoutMs, tolerate: [137] });
  // Each ends with NUL; what follows the last one was cut off.
  return text(result.stdout).split("\0").slice(0, -1).map(asCommit);
}

function asCommit(entry: string): LoggedCommit {
  const newline = entry.indexOf("\n");
  return { commit: entry.slice(0, newline), message: entry.slice(newline + 1) };
}

/** Whether a commit is reachable from another one. */
export async function isAncestor(root: string, ancestor: string, of: string): Promise<boolean> {
  const result = await git(root, ["merge-base", "--is-ancestor", ancestor, of], {
    tolerate: [1, 128],
  });
  return result.code === 0;
}
