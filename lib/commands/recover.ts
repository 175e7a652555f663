import { cloneId, type Dataset, openDataset } from "../dataset/dataset.ts";
import { jobKeyOf, openAfter, readHistory, type RecordedJob } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { refsBelow, removeRefs } from "../git/refs.ts";
import { listEntries, readEntry } from "../store/journal.ts";
import { endingOf, isAliveHere, ownIdentity } from "../store/lock_identity.ts";
import { clearOpenJobsLeftovers } from "../store/open_jobs.ts";
import { listReservations, release, reserve } from "../store/reservations.ts";
import { clearEnvironments } from "./environment_file.ts";
import { locked, type LockPatience } from "./locked.ts";
import { RECORDING_REF } from "./record_submission.ts";
import { reservedPaths } from "./reserved_paths.ts";
import { describeEntry, type TakenUp, takeUpJournal, type UsersWord } from "./take_up.ts";

/** What `recover` is asked to do. */
export interface RecoverOptions {
  readonly dataset?: string | undefined;
  /** Only says what is there. */
  readonly report: boolean;
  /** The token of an entry whose command is dead, as the user says. */
  readonly force?: string | undefined;
  /** With `force`: the job that the command submitted, or `none`, where Slurm cannot tell. */
  readonly job?: string | undefined;
}

/** What {@link recover} found and did. */
export interface Recovered {
  /** The root of the dataset. */
  readonly root: string;
  readonly journal: readonly TakenUp[];
  /** Reserved paths that no open job of any branch holds, and that were released. */
  readonly released: readonly string[];
  /** Paths of open jobs that were not reserved any more, and are again. */
  readonly restored: readonly string[];
}

/**
 * Goes on with what other commands have left, and sets the reservations right: releases what is
 * reserved for jobs that are neither open on any branch nor being submitted, and reserves what open
 * jobs have lost. With `report` it only says what is there.
 */
export async function recover(
  options: RecoverOptions,
  patience: LockPatience,
): Promise<Recovered> {
  const { report, force } = options;
  const dataset = await openDataset(options.dataset);
  const word = force === undefined ? undefined : usersWord(dataset, force, options.job);
  const journal = report ? reportJournal(dataset) : await takeUpJournal(dataset, patience, word);
  return await locked(dataset, patience, async () => {
    const tree = dataset.store.reservations;
    const { jobs } = await readHistory(dataset, "--all");
    const open = openAfter(jobs);
    const known = new Set([...open.map(jobKeyOf), ...listEntries(dataset.store.journal)]);
    const reservations = listReservations(tree);
    // Those of jobs of the dataset above are not ours to judge.
    const idle = reservations.filter(({ token }) => !known.has(token) && !token.startsWith("^"));
    const held = new Set(reservations.map(({ token, path }) => `${token} ${path}`));
    const lost = open.filter((job) => isOwn(dataset, job)).flatMap((job) => {
      const token = jobKeyOf(job);
      return reservedPaths(job.record.outputs).filter((path) => !held.has(`${token} ${path}`))
        .map((path) => ({ token, path }));
    });
    if (!report) {
      for (const { token, path } of idle) release(tree, token, [path]);
      clearOpenJobsLeftovers(dataset.store.openJobs);
      clearEnvironments(dataset.store.base);
      clearDrafts(dataset);
      await clearRefs(dataset);
    }
    const restored = lost.filter(({ token, path }) =>
      report || reserve(tree, token, [path]) === undefined
    );
    const paths = (list: readonly { path: string }[]) => list.map(({ path }) => path);
    return { root: dataset.root, journal, released: paths(idle), restored: paths(restored) };
  });
}

/** Whether a job's files are in this very work tree. */
function isOwn(dataset: Dataset, { record: { datalad_slurm: origin } }: RecordedJob): boolean {
  return origin?.clone !== undefined && origin.clone === cloneId(dataset) &&
    origin.worktree === dataset.repository.worktree;
}

/** Returns what the user says by naming an entry; throws where that cannot be, or cannot help. */
function usersWord(dataset: Dataset, token: string, submitted: string | undefined): UsersWord {
  const entry = listEntries(dataset.store.journal).includes(token)
    ? readEntry(dataset.store.journal, token)
    : undefined;
  if (entry === undefined) {
    throw new ToolError("refused", `No command with the token ${JSON.stringify(token)} is known`, {
      hint: "See the tokens with: datalad-slurm recover --report",
    });
  }
  if (entry.kind === "unreadable") {
    throw new ToolError("refused", `The journal entry ${JSON.stringify(token)} cannot be read`, {
      hint: `Look at it and at squeue, then remove the directory ${
        JSON.stringify(entry.directory)
      }`,
      details: entry.reason,
    });
  }
  const { owner } = entry;
  if (isAliveHere(owner)) {
    throw new ToolError("refused", `The command is at work on this machine, as pid ${owner.pid}`, {
      hint: `Wait for it, or end it first: kill ${owner.pid}`,
      details: describeEntry(entry).join("\n"),
    });
  }
  return { dead: owner, token, submitted };
}

/** What a killed finish has started may go on for a while, and write its draft once more. */
function clearDrafts({ store }: Dataset): void {
  const known = new Set(listEntries(store.journal));
  for (const { name } of Deno.readDirSync(store.base)) {
    const token = /^index-(\w+)(?:\.lock|\.before)?$/.exec(name)?.[1];
    if (token !== undefined && !known.has(token)) removeFile(`${store.base}/${name}`);
  }
}

/** Removes refs that hold commits on their way to a branch, and that nobody is at work on. */
async function clearRefs({ repository, store }: Dataset): Promise<void> {
  const known = new Set(listEntries(store.journal));
  const refs = await refsBelow(repository, ["refs/datalad-slurm/finishing", RECORDING_REF]);
  await removeRefs(
    repository,
    refs.filter((ref) => !known.has(ref.slice(ref.lastIndexOf("/") + 1))),
  );
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function reportJournal(dataset: Dataset): TakenUp[] {
  return listEntries(dataset.store.journal).flatMap((token): TakenUp[] => {
    const entry = readEntry(dataset.store.journal, token);
    if (entry === undefined) return [];
    if (entry.kind === "unreadable") {
      return [{ token, outcome: "in doubt", details: [`${entry.directory}: ${entry.reason}`] }];
    }
    const isOver = endingOf(entry.owner, ownIdentity()) !== "unknown";
    return [{
      token,
      outcome: isOver ? "in doubt" : "at work",
      isSeen: isAliveHere(entry.owner),
      details: describeEntry(entry),
    }];
  });
}
