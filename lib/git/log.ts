import { text } from "../process/run.ts";
import { git, gitStream } from "./git.ts";

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
 * Returns the commits reachable from `tip` whose message mentions `[DATALAD `, parents before
 * children: all of them, or those that `since` does not reach. One pass over the part of history that
 * is asked for.
 */
export async function recordedCommits(
  root: string,
  tip: string,
  since?: string,
): Promise<LoggedCommit[]> {
  const { stdout } = await git(root, recordedArguments(tip, since), { config: LOG_CONFIG });
  return asCommits(stdout);
}

/**
 * Returns those that `since` does not reach, or undefined when git ends with 128: `since` may have been
 * pruned in the meantime, but it may be anything else as well, so that this says nothing of history.
 */
export async function newRecordedCommits(
  root: string,
  tip: string,
  since: string,
): Promise<NewCommits | undefined> {
  const [{ code, stdout }, linear] = await Promise.all([
    git(root, recordedArguments(tip, since), { config: LOG_CONFIG, tolerate: [128] }),
    isAncestor(root, since, tip),
  ]);
  return code === 0 ? { commits: asCommits(stdout), linear } : undefined;
}

/** Signatures would stand among the messages. */
const LOG_CONFIG = ["log.showSignature=false"];

function recordedArguments(tip: string, since: string | undefined): string[] {
  return [
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
  ];
}

function asCommits(stdout: Uint8Array): LoggedCommit[] {
  return text(stdout).split("\0").filter((entry) => entry !== "").map(asCommit);
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

/** A commit of a history that is read from its end. */
export interface NewestCommit extends LoggedCommit {
  /** How many parents it has. */
  readonly parents: number;
  /** When it was made, in seconds since 1970. */
  readonly committed: number;
}

/**
 * Yields all commits that the revisions reach, the newest first, as soon as git has found each.
 * Revisions are ids of commits, with `^` in front for what is to be left out.
 */
export async function* newestCommits(
  root: string,
  revisions: readonly string[],
): AsyncGenerator<NewestCommit> {
  const entries = gitStream(root, [
    "-c",
    "log.showSignature=false",
    "log",
    "-z",
    "--encoding=UTF-8",
    "--no-color",
    "--format=%H %ct %P%n%B",
    ...revisions,
    "--",
  ]);
  for await (const entry of entries) {
    const newline = entry.indexOf("\n");
    const [commit = "", committed, ...parents] = entry.slice(0, newline).trimEnd().split(" ");
    yield {
      commit,
      message: entry.slice(newline + 1),
      parents: parents.length,
      committed: Number(committed),
    };
  }
}

/**
 * Returns the commits that have changed any of the paths, the newest first, as `git log` finds them
 * for what the paths are now. Paths are literal, or globs with `**` for any number of directories.
 */
export async function commitsTouching(
  root: string,
  revisions: readonly string[],
  paths: readonly string[],
  areGlobs: boolean,
): Promise<string[]> {
  const result = await git(root, [
    "log",
    "--format=%H",
    "--no-color",
    ...revisions,
    "--",
    ...paths.map((path) => areGlobs ? `:(top,glob)${path}` : path),
  ], areGlobs ? { env: { GIT_LITERAL_PATHSPECS: undefined } } : {});
  return text(result.stdout).split("\n").filter((line) => line !== "");
}

/** Returns the subjects of commits by id; of those that are not here none. */
export async function subjectsOf(
  root: string,
  commits: readonly string[],
): Promise<Map<string, string>> {
  if (commits.length === 0) return new Map();
  const result = await git(root, [
    "log",
    "--no-walk=unsorted",
    "--ignore-missing",
    "--encoding=UTF-8",
    "--no-color",
    "--format=%H %s",
    ...commits,
    "--",
  ]);
  return new Map(
    text(result.stdout).split("\n").filter((line) => line !== "")
      .map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]),
  );
}
