import assert from "node:assert/strict";
import type { TestDataset } from "./dataset.ts";

/**
 * What a path must be in a commit: the bytes of a regular file, which may be annexed; the target of
 * a symbolic link; a test of the bytes; or null for a path that the commit deletes.
 */
export type Content =
  | string
  | { readonly executable: string }
  | { readonly link: string }
  | ((bytes: Uint8Array) => void)
  | null;

/** What the history of a dataset must hold. */
export interface ExpectedHistory {
  /** The commit that it begins with. */
  readonly base: string;
  /** The jobs that are open. */
  readonly open?: readonly string[];
  /** The jobs that have a finish commit, and what precisely that commit changes. */
  readonly finished?: Readonly<Record<string, Readonly<Record<string, Content>>>>;
  /** Parts of arrays that have a finish commit of their own, such as `12_[0-3]`. */
  readonly parts?: Readonly<Record<string, Readonly<Record<string, Content>>>>;
  /** Subjects of commits that are not the tool's. */
  readonly others?: readonly string[];
  /** The lines of `git status --porcelain`, in any order. */
  readonly status?: readonly string[];
  /** Whether the annex may hold content that is used no more. */
  readonly skipAnnex?: boolean;
}

interface Commit {
  readonly id: string;
  readonly parents: readonly string[];
  readonly tree: string;
  readonly subject: string;
  readonly body: string;
}

/**
 * Asserts with git's own commands alone that a dataset is what it must be: one schedule commit for
 * each job, which changes nothing; one finish commit for each finished job, which changes precisely
 * its files; a sound repository; and nothing left of locks, journal, reservations or refs.
 */
export async function checkDataset(dataset: TestDataset, expected: ExpectedHistory): Promise<void> {
  const { base, open = [], finished = {}, parts = {}, others = [], status = [] } = expected;
  const commits = await readCommits(dataset, base);
  const scheduled = [...open, ...Object.keys(finished)];
  const seen: string[] = [];
  const foreign: string[] = [];
  for (const commit of commits) {
    assert.equal(commit.parents.length, 1, `${commit.subject} is a merge`);
    const submitted = /^\[DATALAD (?:RE)?SCHEDULE\] Submitted batch job (\d+): Pending$/
      .exec(commit.subject)?.[1];
    const done = /^\[DATALAD FINISH\] Processed batch job (\d+(?:_\S+)?): \w+$/
      .exec(commit.subject)?.[1];
    if (submitted !== undefined) {
      seen.push(`schedule ${submitted}`);
      const parent = await dataset.git("rev-parse", `${commit.id}^^{tree}`);
      assert.equal(commit.tree, parent, `${commit.subject} changes a file`);
    } else if (done !== undefined) {
      seen.push(`finish ${done}`);
      await checkChanges(dataset, commit, finished[done] ?? parts[done] ?? {});
    } else {
      foreign.push(commit.subject);
    }
  }
  assert.deepEqual(
    seen.toSorted(),
    [
      ...scheduled.map((id) => `schedule ${id}`),
      ...Object.keys({ ...finished, ...parts }).map((id) => `finish ${id}`),
    ].toSorted(),
    "Each job has one schedule commit, each finished one has one finish commit",
  );
  assert.deepEqual(foreign.toSorted(), [...others].toSorted());
  assert.deepEqual(
    (await dataset.git("status", "--porcelain", "-z")).split("\0").filter((line) => line !== "")
      .toSorted(),
    [...status].toSorted(),
    "git status",
  );
  await dataset.git("fsck", "--strict", "--no-dangling");
  if (await hasAnnex(dataset) && expected.skipAnnex !== true) {
    await dataset.git("annex", "fsck", "--quiet");
  }
  await checkNothingIsLeft(dataset);
  checkReservations(dataset, commits, open);
}

/** Returns the commits from `base`, exclusive, to HEAD, oldest first. */
async function readCommits(dataset: TestDataset, base: string): Promise<Commit[]> {
  const log = await dataset.git(
    "log",
    "-z",
    "--topo-order",
    "--reverse",
    "--format=%H%x01%P%x01%T%x01%s%x01%B",
    `${base}..HEAD`,
  );
  return log.split("\0").filter((entry) => entry !== "").map((entry) => {
    const [id = "", parents = "", tree = "", subject = "", body = ""] = entry.split("\x01");
    return { id, parents: parents.split(" "), tree, subject, body };
  });
}

interface Change {
  readonly mode: string;
  readonly object: string;
}

/** Returns what a commit changes, by path; null for a deletion. */
export async function changesOf(
  dataset: TestDataset,
  commit: string,
): Promise<Map<string, Change | null>> {
  const raw = await dataset.git(
    "diff-tree",
    "-r",
    "-z",
    "--no-renames",
    "--no-commit-id",
    commit,
  );
  const fields = raw.split("\0");
  const changes = new Map<string, Change | null>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [, mode = "", , object = "", letter] = fields[at]?.split(" ") ?? [];
    changes.set(fields[at + 1] ?? "", letter === "D" ? null : { mode, object });
  }
  return changes;
}

async function checkChanges(
  dataset: TestDataset,
  commit: Commit,
  expected: Readonly<Record<string, Content>>,
): Promise<void> {
  const changes = await changesOf(dataset, commit.id);
  assert.deepEqual(
    [...changes.keys()].toSorted(),
    Object.keys(expected).toSorted(),
    `The paths that ${commit.subject} changes`,
  );
  for (const [path, content] of Object.entries(expected)) {
    const change = changes.get(path) ?? null;
    const where = `${JSON.stringify(path)} in ${commit.subject}`;
    if (change === null || content === null) {
      assert.equal(change, content, where);
      continue;
    }
    await checkContent(dataset, where, change, content);
  }
}

async function checkContent(
  dataset: TestDataset,
  where: string,
  { mode, object }: Change,
  content: Exclude<Content, null>,
): Promise<void> {
  const blob = await readBlob(dataset, object);
  if (typeof content === "object" && "link" in content) {
    assert.deepEqual({ mode, target: text(blob) }, { mode: "120000", target: content.link }, where);
    return;
  }
  const key = annexKey(text(blob));
  const bytes = key === undefined ? blob : await readAnnexed(dataset, key);
  const executable = typeof content === "object";
  if (mode !== "120000" || key === undefined) {
    assert.equal(mode, executable ? "100755" : "100644", where);
  }
  if (typeof content === "function") content(bytes);
  else assert.equal(text(bytes), typeof content === "string" ? content : content.executable, where);
}

/** Returns a blob's bytes; stdout as text would change what is no UTF-8. */
async function readBlob(dataset: TestDataset, object: string): Promise<Uint8Array> {
  const path = `${dataset.scratch.directory}/blob-${crypto.randomUUID()}`;
  await dataset.run(["sh", "-c", 'git cat-file blob "$1" >"$2"', "sh", object, path]);
  const bytes = await Deno.readFile(path);
  await Deno.remove(path);
  return bytes;
}

/** Returns the key of an annexed file: of the link of a locked one, the pointer of another. */
export function annexKey(blob: string): string | undefined {
  return /(?:^|\/)\.git\/annex\/objects\/.*\/([^/]+)$/.exec(blob)?.[1] ??
    /^\/annex\/objects\/([^/\n]+)/.exec(blob)?.[1];
}

async function readAnnexed(dataset: TestDataset, key: string): Promise<Uint8Array> {
  const location = await dataset.git("annex", "contentlocation", key);
  return await Deno.readFile(`${dataset.root}/${location}`);
}

async function hasAnnex(dataset: TestDataset): Promise<boolean> {
  return (await dataset.run(["git", "config", "annex.uuid"])).code === 0;
}

/** Asserts that no lock, temporary ref or index, and no journal entry is left. */
export async function checkNothingIsLeft(dataset: TestDataset): Promise<void> {
  const store = `${dataset.root}/.git/datalad-slurm`;
  const lock = names(`${store}/lock`).filter((name) => name !== "q");
  assert.deepEqual([...lock, ...names(`${store}/lock/q`)], [], "The repository lock");
  assert.deepEqual(names(`${store}/journal`), [], "The journal");
  const refs = await dataset.git("for-each-ref", "--format=%(refname)", "refs/datalad-slurm");
  assert.deepEqual(refs.split("\n").filter((ref) => !/^$|\/epoch$/.test(ref)), [], "Refs");
  assert.deepEqual(
    names(`${dataset.root}/.git`).filter((name) => /\.lock$/.test(name)),
    [],
    "Files in .git",
  );
  const known = /^(?:auto-finish|journal|lock|open-jobs|reservations)$/;
  assert.deepEqual(names(store).filter((name) => !known.test(name)), [], "Ours");
}

/** Asserts that the open jobs have reservations, and nobody else has. */
function checkReservations(
  dataset: TestDataset,
  commits: readonly Commit[],
  open: readonly string[],
): void {
  const held = new Set(links(`${dataset.root}/.git/datalad-slurm/reservations`));
  const tokens = commits.flatMap(({ subject, body }) => {
    const id = /Submitted batch job (\d+): Pending$/.exec(subject)?.[1] ?? "";
    return open.includes(id) ? [/"token": "(\w+)"/.exec(body)?.[1] ?? ""] : [];
  });
  assert.deepEqual([...held].toSorted(), tokens.toSorted(), "The reservations");
}

function names(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Returns the texts of all symbolic links below a directory. */
function links(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].flatMap((entry) => {
      const path = `${directory}/${entry.name}`;
      return entry.isSymlink ? [Deno.readLinkSync(path)] : links(path);
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Returns a test of a job's `slurm-job-ID.env.json`: it is of the job and names no user. */
export function environmentOf(jobId: string, state = "COMPLETED"): (bytes: Uint8Array) => void {
  return (bytes) => {
    const content = JSON.parse(text(bytes));
    assert.equal(content.slurm_job_id, jobId);
    assert.equal(content.state, state);
    assert.doesNotMatch(text(bytes), /"(?:user|uid|account|group)|\b(?:root|ada)\b|example\.org/i);
  };
}

/** Returns what a finish commit holds besides the outputs, of a job that ran in the root. */
export function logs(jobId: string, said = ""): Record<string, Content> {
  return {
    [`slurm-${jobId}.out`]: said,
    [`slurm-job-${jobId}.env.json`]: environmentOf(jobId),
  };
}

/** Returns what the finish commit of a job that ran `write.sh` in the root holds. */
export function written(
  jobId: string,
  files: readonly string[],
  names = files,
): Record<string, Content> {
  return {
    ...Object.fromEntries(files.map((file, at) => [file, `result of ${names[at]}\n`])),
    ...logs(jobId, names.map((name) => `wrote ${name}\n`).join("")),
  };
}
