import { isThere } from "../files.ts";
import { parentPath } from "../paths.ts";
import { text } from "../process/run.ts";
import { git } from "./git.ts";
import { putIntoIndex, type StagedChange } from "./changes.ts";
import type { IndexDraft } from "./index_draft.ts";

/** The modes that git has for what is not there, and for a subdataset. */
const ABSENT = "000000";
const SUBDATASET = "160000";

/** How a diff is printed that {@link parseRawDiff} reads. */
const RAW: readonly string[] = ["--raw", "-z", "--no-renames", "--no-abbrev"];

/** A change of the index with what the commit has in its place. */
export interface IndexChange extends StagedChange {
  /** Mode and object id in the commit; zeros where the path is new. */
  readonly before: { readonly mode: string; readonly object: string };
}

/**
 * Returns all paths in which the draft of the index differs from a commit. The answer is as long as the
 * difference and not as the index, which is why git is not asked path by path.
 */
export async function stagedChanges(
  root: string,
  commit: string,
  draft: IndexDraft,
): Promise<IndexChange[]> {
  const result = await git(
    root,
    ["diff-index", "--cached", ...RAW, "--ignore-submodules=none", commit],
    { env: draft.environment },
  );
  return parseRawDiff(text(result.stdout));
}

/**
 * Parses `git diff-index --raw -z`: `:100644 120000 OLD NEW T` NUL path NUL, again and again
 * (git 2.30 to 2.39; without renames each entry has one path).
 */
export function parseRawDiff(output: string): IndexChange[] {
  const fields = output.split("\0");
  const changes: IndexChange[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const match = /^:(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*$/.exec(
      fields[index] ?? "",
    );
    const path = fields[index + 1];
    if (match === null || path === undefined || path === "") {
      throw new TypeError(`Not a line of git diff-index: ${JSON.stringify(fields[index])}`);
    }
    const [, oldMode = "", mode = "", oldObject = "", object = "", status] = match;
    changes.push({
      path,
      mode: status === "D" ? undefined : mode,
      object,
      before: { mode: oldMode, object: oldObject },
    });
  }
  return changes;
}

/**
 * Returns the paths that a commit holds at and below some paths, or all it holds where no path is
 * given: files, links, and subdatasets.
 */
export async function pathsInCommit(
  root: string,
  commit: string,
  paths: readonly string[],
): Promise<Set<string>> {
  return new Set((await entriesInCommit(root, commit, paths)).map(({ path }) => path));
}

/** Returns the same with modes and objects. */
export async function entriesInCommit(
  root: string,
  commit: string,
  paths: readonly string[],
): Promise<StagedChange[]> {
  const entries: StagedChange[] = [];
  for (const chunk of paths.length === 0 ? [[]] : argumentChunks(paths)) {
    const result = await git(root, ["ls-tree", "-r", "-z", commit, "--", ...chunk]);
    // "100644 blob 3f2e…\tpath" NUL (git 2.39)
    for (const entry of text(result.stdout).split("\0")) {
      const tab = entry.indexOf("\t");
      if (tab < 0) continue;
      const [mode = "", , object = ""] = entry.slice(0, tab).split(" ");
      entries.push({ path: entry.slice(tab + 1), mode, object });
    }
  }
  return entries;
}

/**
 * Returns those of the entries that a sparse checkout does not leave out of the work tree. They lie
 * below `paths`; below the root where there are none.
 */
export async function withoutSparse(
  root: string,
  entries: readonly StagedChange[],
  paths: readonly string[],
): Promise<readonly StagedChange[]> {
  if (entries.length === 0) return entries;
  const leftOut = new Set<string>();
  for (const chunk of paths.length === 0 ? [[]] : argumentChunks(paths)) {
    const { stdout } = await git(root, ["ls-files", "-t", "-z", "--", ...chunk]);
    // "S path" NUL for what is left out (git 2.39)
    for (const line of text(stdout).split("\0")) {
      if (line.startsWith("S ")) leftOut.add(line.slice(2));
    }
  }
  return entries.filter(({ path }) => !leftOut.has(path));
}

/**
 * Returns what of the changes of commits is not yet taken off ({@link takeOff}), with what HEAD has in its
 * place: the work tree is there as in its commit, the index is not. What anybody has changed since, or
 * HEAD has by now, is left out. `scratchIndex` is a path at which there is no file.
 */
export async function stillThere(
  root: string,
  commits: readonly string[],
  scratchIndex: string,
): Promise<IndexChange[]> {
  const made = await git(root, ["diff-tree", "--stdin", "--no-commit-id", "-r", ...RAW], {
    stdin: commits.map((commit) => `${commit}\n`).join(""),
  });
  const changes = parseRawDiff(text(made.stdout)).filter(({ mode }) => mode !== SUBDATASET);
  const paths = changes.map(({ path }) => path);
  if (paths.length === 0) return [];
  const [inHead, inIndex, unchanged] = [
    byPath(await entriesInCommit(root, "HEAD", paths)),
    byPath(await entriesInIndex(root, paths)),
    await unchangedFiles(root, changes.filter(({ mode }) => mode !== undefined), scratchIndex),
  ];
  return changes.flatMap((change) => {
    const { path, mode } = change;
    const head = inHead.get(path);
    const index = inIndex.get(path);
    const isAsCommitted = mode === undefined ? !isThere(`${root}/${path}`) : unchanged.has(path);
    if (!isAsCommitted || isSame(index, change) || isSame(head, change)) return [];
    if (head === undefined && index !== undefined) return [];
    return [{ ...change, before: { mode: head?.mode ?? ABSENT, object: head?.object ?? "" } }];
  });
}

/** Returns the paths at which the work tree has what an index with these entries would have. */
async function unchangedFiles(
  root: string,
  entries: readonly StagedChange[],
  scratchIndex: string,
): Promise<Set<string>> {
  const env = { GIT_INDEX_FILE: scratchIndex };
  // Whoever was killed at this may have left them.
  removeIndex(scratchIndex);
  try {
    await putIntoIndex(root, entries, { env });
    // Its exit code tells whether anything is changed.
    await git(root, ["update-index", "-q", "--refresh"], { env, tolerate: [1] });
    const changed = text((await git(root, ["diff-files", "--name-only", "-z"], { env })).stdout);
    const others = new Set(changed.split("\0"));
    return new Set(entries.flatMap(({ path }) => others.has(path) ? [] : path));
  } finally {
    removeIndex(scratchIndex);
  }
}

function removeIndex(path: string): void {
  for (const file of [path, `${path}.lock`]) if (isThere(file)) Deno.removeSync(file);
}

/** Returns what the index holds at and below some paths, without what is in conflict. */
async function entriesInIndex(root: string, paths: readonly string[]): Promise<StagedChange[]> {
  const entries: StagedChange[] = [];
  for (const chunk of argumentChunks(paths)) {
    const result = await git(root, ["ls-files", "--stage", "-z", "--", ...chunk]);
    // "100644 3f2e… 0\tpath" NUL (git 2.39)
    for (
      const [, mode, object = "", path = ""] of text(result.stdout).matchAll(
        /(\d{6}) ([0-9a-f]+) 0\t([^\0]+)\0/g,
      )
    ) {
      entries.push({ path, mode, object });
    }
  }
  return entries;
}

function byPath(entries: readonly StagedChange[]): Map<string, StagedChange> {
  return new Map(entries.map((entry) => [entry.path, entry]));
}

function isSame(entry: StagedChange | undefined, change: StagedChange): boolean {
  return entry?.mode === change.mode &&
    (change.mode === undefined || entry?.object === change.object);
}

/** Takes changes that a commit holds now off index and work tree, which have then what was before. */
export async function takeOff(root: string, changes: readonly IndexChange[]): Promise<void> {
  const known = changes.filter(({ before }) => !isAbsent(before.mode));
  for (const { path, before } of changes) if (isAbsent(before.mode)) removeFile(root, path);
  if (known.length === 0) return;
  // The index may still have what git-annex staged when it unlocked the file for the job.
  await putIntoIndex(root, known.map(({ path, before }) => ({ path, ...before })));
  await git(root, ["checkout-index", "--force", "-u", "-z", "--stdin"], {
    stdin: known.map(({ path }) => `${path}\0`).join(""),
  });
}

function isAbsent(mode: string): boolean {
  return mode === ABSENT;
}

/** Removes a file, and the directories above it that are empty then. */
function removeFile(root: string, path: string): void {
  for (let at = path; at !== "."; at = parentPath(at)) {
    try {
      Deno.removeSync(`${root}/${at}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      return;
    }
  }
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
