import assert from "node:assert/strict";
import type { TestDataset } from "../support/dataset.ts";
import { jobsSubmittedBelow } from "../support/real_slurm.ts";

/** What git's history, Slurm and the file system say of a dataset's jobs. */
export interface Survey {
  /** All jobs that Slurm has accepted. */
  readonly accepted: readonly string[];
  readonly open: readonly string[];
  readonly finished: readonly string[];
}

/** All jobs that Slurm was ever seen to have accepted, by dataset: it forgets them after minutes. */
const seen = new WeakMap<TestDataset, Set<string>>();

/** Returns the jobs of a dataset that Slurm has accepted so far. */
export async function acceptedJobs(dataset: TestDataset): Promise<Set<string>> {
  const jobs = seen.get(dataset) ?? new Set();
  seen.set(dataset, jobs);
  for (const id of await jobsSubmittedBelow(dataset.scratch.directory)) jobs.add(id);
  return jobs;
}

/**
 * Asserts that nothing is lost and nothing is left after a command that was cut short and one more
 * command: each job that Slurm has accepted has one schedule commit and at most one finish commit;
 * open jobs hold their reservations and nobody else does; no lock, ref, file or journal entry of
 * ours is there. Asks git, Slurm and the file system, not the tool. `revisions` is where the commits
 * are looked for, `--branches` where jobs have branches of their own.
 */
export async function survey(
  dataset: TestDataset,
  repositories = [""],
  revisions: readonly string[] = ["HEAD"],
): Promise<Survey> {
  const accepted = [...await acceptedJobs(dataset)];
  const log = await dataset.git("log", "-z", "--format=%s%x01%B", ...revisions);
  const scheduled = new Map<string, string>();
  const finished = new Map<string, string>();
  const doubled: string[] = [];
  for (const [subject = "", body = ""] of log.split("\0").map((entry) => entry.split("\x01"))) {
    const [, kind, id = ""] =
      /^\[DATALAD (SCHEDULE|RESCHEDULE|FINISH)\] \w+ batch job (\d+): \w+$/.exec(subject) ?? [];
    if (kind === undefined) continue;
    const jobs = kind === "FINISH" ? finished : scheduled;
    if (jobs.has(id)) doubled.push(subject);
    jobs.set(id, /^ {2}"token": "(\w+)"/m.exec(body)?.[1] ?? "no token");
  }
  assert.deepEqual(doubled, [], "Commits that are there twice");
  assert.deepEqual(sorted(scheduled.keys()), sorted(accepted), "Recorded jobs and accepted jobs");
  const open = [...scheduled].filter(([id]) => !finished.has(id));
  for (const [id, token] of finished) assert.equal(scheduled.get(id), token, `Token of job ${id}`);
  for (const repository of repositories) {
    const prefix = repository === "" ? "" : "^";
    await nothingIsLeft(dataset, repository, open.map(([, token]) => prefix + token));
  }
  return { accepted, open: open.map(([id]) => id), finished: [...finished.keys()] };
}

async function nothingIsLeft(
  dataset: TestDataset,
  repository: string,
  tokens: readonly string[],
): Promise<void> {
  const root = repository === "" ? dataset.root : `${dataset.root}/${repository}`;
  const git = async (...args: string[]) => await dataset.git("-C", root, ...args);
  const common = await git("rev-parse", "--path-format=absolute", "--git-common-dir");
  const store = `${common}/datalad-slurm`;
  const where = repository === "" ? "" : ` of ${repository}`;
  const lock = [...below(`${store}/lock`)].filter((path) => path !== "q");
  assert.deepEqual(lock, [], `The repository lock${where}`);
  assert.deepEqual([...below(`${store}/journal`)], [], `The journal${where}`);
  assert.deepEqual([...below(`${store}/open-jobs`)].filter((path) => /new/.test(path)), []);
  const known = /^(?:auto-finish|journal|lock|open-jobs|reservations)$/;
  assert.deepEqual(names(store).filter((name) => !known.test(name)), [], `Ours${where}`);
  const held = [...below(`${store}/reservations`)];
  assert.deepEqual(
    sorted(new Set(held.flatMap((path) => linkText(`${store}/reservations/${path}`)))),
    sorted(tokens),
    `The reservations${where}`,
  );
  const refs = (await git("for-each-ref", "--format=%(refname)", "refs/datalad-slurm")).split("\n");
  assert.deepEqual(refs.filter((ref) => !/^$|\/epoch$/.test(ref)), [], `Refs${where}`);
  const files = [...Deno.readDirSync(common)].map(({ name }) => name);
  assert.deepEqual(files.filter((name) => /\.lock$|datalad-slurm-/.test(name)), [], "Files of git");
}

function names(directory: string): string[] {
  return [...below(directory)].filter((path) => !path.includes("/"));
}

/** Returns all paths below a directory. */
function* below(directory: string, prefix = ""): Generator<string> {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(directory)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const { name, isDirectory } of entries) {
    yield `${prefix}${name}`;
    if (isDirectory) yield* below(`${directory}/${name}`, `${prefix}${name}/`);
  }
}

function linkText(path: string): string[] {
  return Deno.lstatSync(path).isSymlink ? [Deno.readLinkSync(path)] : [];
}

function sorted(words: Iterable<string>): string[] {
  return [...words].toSorted();
}
