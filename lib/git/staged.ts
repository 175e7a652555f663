import { text } from "../process/run.ts";
import { git } from "./git.ts";

/** One path in which the index differs from a commit. */
export interface StagedChange {
  readonly path: string;
  /** The mode in the index as git writes it, such as `100644`; undefined when it is deleted. */
  readonly mode: string | undefined;
  /** The object id in the index. */
  readonly object: string;
}

/**
 * Returns all paths in which the index differs from a commit. The answer is as long as the
 * difference and not as the index, which is why git is not asked path by path.
 */
export async function stagedChanges(root: string, commit: string): Promise<StagedChange[]> {
  const result = await git(root, [
    "diff-index",
    "--cached",
    "--raw",
    "-z",
    "--no-renames",
    "--no-abbrev",
    "--ignore-submodules=none",
    commit,
  ]);
  return parseRawDiff(text(result.stdout));
}

/**
 * Parses `git diff-index --raw -z`: `:100644 120000 OLD NEW T` NUL path NUL, again and again
 * (git 2.30 to 2.39; without renames each entry has one path).
 */
export function parseRawDiff(output: string): StagedChange[] {
  const fields = output.split("\0");
  const changes: StagedChange[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const match = /^:(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*$/.exec(
      fields[index] ?? "",
    );
    const path = fields[index + 1];
    if (match === null || path === undefined || path === "") {
      throw new TypeError(`Not a line of git diff-index: ${JSON.stringify(fields[index])}`);
    }
    const [, , mode = "", , object = "", status] = match;
    changes.push({ path, mode: status === "D" ? undefined : mode, object });
  }
  return changes;
}

/**
 * Returns what a commit holds at and below some paths, or all it holds where no path is given:
 * files, links, and subdatasets.
 */
export async function pathsInCommit(
  root: string,
  commit: string,
  paths: readonly string[],
): Promise<Set<string>> {
  const found = new Set<string>();
  for (const chunk of paths.length === 0 ? [[]] : argumentChunks(paths)) {
    const result = await git(root, ["ls-tree", "-r", "-z", "--name-only", commit, "--", ...chunk]);
    for (const path of text(result.stdout).split("\0")) if (path !== "") found.add(path);
  }
  return found;
}

/** Parts arguments so that each part stays well below the system's limit for one argv. */
export function* argumentChunks(items: readonly string[], bytes = 100_000): Generator<string[]> {
  let chunk: string[] = [];
  let size = 0;
  for (const item of items) {
    // At most four bytes in UTF-8 for each UTF-16 unit, and a terminator.
    const length = item.length * 4 + 1;
    if (chunk.length > 0 && size + length > bytes) {
      yield chunk;
      chunk = [];
      size = 0;
    }
    chunk.push(item);
    size += length;
  }
  if (chunk.length > 0) yield chunk;
}
