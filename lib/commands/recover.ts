import { type Dataset, openDataset } from "../dataset/dataset.ts";
import { jobKeyOf, openAfter, readHistory } from "../dataset/history.ts";
import { settleDraft } from "../git/index_draft.ts";
import { removeRefs } from "../git/refs.ts";
import { findSubmission } from "../slurm/recover.ts";
import { parseSubmission } from "../slurm/submission.ts";
import {
  type FinishEntry,
  type JournalEntry,
  listEntries,
  readEntry,
  removeEntry,
  type SubmissionEntry,
  submissionFiles,
} from "../store/journal.ts";
import { isSessionAlive } from "../process/session.ts";
import { endingOf, ownIdentity } from "../store/lock_identity.ts";
import { clearOpenJobsLeftovers } from "../store/open_jobs.ts";
import { listReservations, release } from "../store/reservations.ts";
import { storeDirectories } from "../store/directories.ts";
import { clearEnvironments } from "./environment_file.ts";
import { sweepLitter } from "../store/lock.ts";
import { locked, type LockPatience } from "./locked.ts";
import { hasEnded } from "./owner.ts";
import { releaseInSubdatasets } from "./reserve_outputs.ts";
import { recordSubmission } from "./record_submission.ts";
import { readPrinted, traceOf } from "./submitting_command.ts";

/** What became of an operation that another command left unfinished. */
export interface TakenUp {
  readonly token: string;
  /**
   * `recorded`: the job was found and has its commit now; `dropped`: nothing was submitted or all
   * was done, what was left is cleared away; `in doubt`: it cannot be decided; `at work`: its
   * command is, or may be, still running.
   */
  readonly outcome: "recorded" | "dropped" | "in doubt" | "at work";
  readonly jobId?: string;
  readonly commit?: string;
  /** What is known, for people. */
  readonly details: readonly string[];
}

/**
 * Goes on with what commands that are proven dead have left in the journal: records jobs that
 * Slurm has accepted, releases what was reserved for nothing. Never submits anything.
 */
export async function takeUpJournal(
  dataset: Dataset,
  patience: LockPatience,
): Promise<TakenUp[]> {
  const taken: TakenUp[] = [];
  sweepLitter(dataset.store.lock);
  for (const token of listEntries(dataset.store.journal)) {
    const entry = readEntry(dataset.store.journal, token);
    if (entry === undefined) {
      await clearUnwritten(dataset, token, patience);
      continue;
    }
    try {
      taken.push(await takeUp(dataset, entry, patience));
    } catch (error) {
      // Another process may have taken it up at the same time, and its files are gone.
      const isGone = readEntry(dataset.store.journal, token) === undefined;
      if (!(error instanceof Deno.errors.NotFound && isGone)) throw error;
    }
  }
  return taken;
}

async function takeUp(
  dataset: Dataset,
  entry: JournalEntry,
  patience: LockPatience,
): Promise<TakenUp> {
  if (!await hasEnded(entry.owner)) {
    return { token: entry.token, outcome: "at work", details: [ownerLine(entry)] };
  }
  return entry.kind === "finish"
    ? await dropFinish(dataset, entry, patience)
    : await takeUpSubmission(dataset, entry, patience);
}

function ownerLine({ owner, since }: JournalEntry): string {
  return `${owner.user}@${owner.host}, pid ${owner.pid}, since ${new Date(since).toISOString()}`;
}

/** Entries are written under the lock: one that is not whole then was cut short before its job. */
async function clearUnwritten(
  dataset: Dataset,
  token: string,
  patience: LockPatience,
): Promise<void> {
  await locked(dataset, patience, () => {
    if (readEntry(dataset.store.journal, token) === undefined) {
      removeEntry(dataset.store.journal, token);
    }
    return Promise.resolve();
  });
}

/**
 * A finish that was cut short has moved its branch or not. Where it has, what its jobs had reserved
 * may still have to be released; where not, the jobs are open and are finished again.
 */
async function dropFinish(
  dataset: Dataset,
  entry: FinishEntry,
  patience: LockPatience,
): Promise<TakenUp> {
  const { reservations } = storeDirectories(
    dataset.repository.commonDirectory,
    entry.worktree,
  );
  for (const path of entry.subdatasets ?? []) {
    const below = await openDataset(`${dataset.root}/${path}`);
    await takeUpJournal(below, patience);
    // Whoever takes a lock clears away a dead one.
    await locked(below, patience, () => Promise.resolve());
  }
  await locked(dataset, patience, async () => {
    // Whatever branch is checked out by now: what no commit answers stays reserved.
    const { jobs } = await readHistory(dataset, "--all");
    const finished = new Set(jobs.filter(({ kind }) => kind === "finish").map(jobKeyOf));
    for (const { key, paths } of entry.jobs) {
      if (!finished.has(key)) continue;
      await releaseInSubdatasets(dataset, key, paths, patience);
      release(reservations, key, paths);
    }
    await removeRefs(dataset.repository, [entry.temporaryRef]);
    settleDraft(
      dataset.repository,
      entry.temporaryIndex,
      entry.jobs.some(({ key }) => finished.has(key)),
    );
    removeEntry(dataset.store.journal, entry.token);
  });
  return {
    token: entry.token,
    outcome: "dropped",
    details: ["A finish was cut short; run it again"],
  };
}

async function takeUpSubmission(
  dataset: Dataset,
  entry: SubmissionEntry,
  patience: LockPatience,
): Promise<TakenUp> {
  const { token } = entry;
  const { jobs } = await readHistory(dataset, "--all");
  const recorded = jobs.find((job) => job.kind !== "finish" && jobKeyOf(job) === token);
  if (recorded !== undefined) {
    await locked(dataset, patience, () => {
      removeEntry(dataset.store.journal, token);
      return Promise.resolve();
    });
    return { token, outcome: "dropped", jobId: recorded.jobId, details: ["It was recorded"] };
  }
  const files = submissionFiles(dataset.store.journal, token);
  const session = readSession(files.session);
  if (session === undefined) {
    return preventSession(files.session)
      ? await dropSubmission(dataset, entry, patience, [])
      : { token, outcome: "at work", details: ["Its command is about to begin"] };
  }
  const printed = readPrinted(files);
  const named = parseSubmission(printed.stdout);
  if (named === undefined && isSessionAlive(session)) {
    return { token, outcome: "at work", details: [`Its command runs as session ${session}`] };
  }
  const search = named === undefined
    ? await findSubmission(traceOf(entry, files))
    : { found: [named], asked: [], conclusive: true };
  const [found] = search.found;
  if (found !== undefined) {
    const commit = await recordSubmission(dataset, entry, found, patience);
    return { token, outcome: "recorded", jobId: found.jobId, commit, details: search.asked };
  }
  if (search.conclusive) return await dropSubmission(dataset, entry, patience, search.asked);
  return {
    token,
    outcome: "in doubt",
    details: [`Command: ${entry.command}`, ownerLine(entry), printed.stderr.trim(), ...search.asked]
      .filter((line) => line !== ""),
  };
}

async function dropSubmission(
  dataset: Dataset,
  entry: SubmissionEntry,
  patience: LockPatience,
  details: readonly string[],
): Promise<TakenUp> {
  const { reservations } = storeDirectories(
    dataset.repository.commonDirectory,
    entry.worktree,
  );
  await releaseInSubdatasets(dataset, entry.token, entry.paths, patience);
  await locked(dataset, patience, () => {
    release(reservations, entry.token, entry.paths);
    removeEntry(dataset.store.journal, entry.token);
    return Promise.resolve();
  });
  return {
    token: entry.token,
    outcome: "dropped",
    details: ["Nothing was submitted", ...details],
  };
}

function readSession(path: string): number | undefined {
  try {
    const session = Number(Deno.readTextFileSync(path).trim());
    return Number.isInteger(session) && session > 0 ? session : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Sees to it that the command of a submission never begins, by making the file that it has to make
 * itself before; returns false where it is a moment ahead.
 */
function preventSession(path: string): boolean {
  try {
    Deno.writeTextFileSync(path, "prevented", { createNew: true });
    return true;
  } catch (error) {
    // Somebody else has taken the entry up.
    if (error instanceof Deno.errors.NotFound) return true;
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  // An empty one may be of a command that died just there: a minute is enough to see.
  const { size, mtime } = Deno.statSync(path);
  return size > 0 ? readSession(path) === undefined : Date.now() - (mtime?.getTime() ?? 0) > 60_000;
}

/** Opens a dataset as it is after {@link takeUpJournal}; `notice` is told what that has done. */
export async function openTakingUp(
  directory: string | undefined,
  patience: LockPatience,
  notice: (taken: TakenUp) => void = () => {},
): Promise<Dataset> {
  const dataset = await openDataset(directory);
  const taken = await takeUpJournal(dataset, patience);
  taken.forEach(notice);
  return taken.some(({ outcome }) => outcome === "recorded")
    ? await openDataset(directory)
    : dataset;
}

/** What {@link recover} found and did. */
export interface Recovered {
  readonly journal: readonly TakenUp[];
  /** Reserved paths that no open job of any branch holds, and that were released. */
  readonly released: readonly string[];
}

/**
 * Goes on with what other commands have left, and releases what is reserved for jobs that are
 * neither open on any branch nor being submitted. With `report` it only says what is there.
 */
export async function recover(
  directory: string | undefined,
  report: boolean,
  patience: LockPatience,
): Promise<Recovered> {
  const dataset = await openDataset(directory);
  const journal = report ? reportJournal(dataset) : await takeUpJournal(dataset, patience);
  const released = await locked(dataset, patience, async () => {
    const tree = dataset.store.reservations;
    const { jobs } = await readHistory(dataset, "--all");
    const known = new Set([
      ...openAfter(jobs).map(jobKeyOf),
      ...listEntries(dataset.store.journal),
    ]);
    // Those of jobs of the dataset above are not ours to judge.
    const idle = listReservations(tree).filter(({ token }) =>
      !known.has(token) && !token.startsWith("^")
    );
    if (!report) {
      for (const { token, path } of idle) release(tree, token, [path]);
      clearOpenJobsLeftovers(dataset.store.openJobs);
      clearEnvironments(dataset.store.base);
      clearDrafts(dataset);
    }
    return idle.map(({ path }) => path);
  });
  return { journal, released };
}

/** What a killed finish has started may go on for a while, and write its draft once more. */
function clearDrafts({ store }: Dataset): void {
  const known = new Set(listEntries(store.journal));
  for (const { name } of Deno.readDirSync(store.base)) {
    const token = /^index-(\w+)(?:\.lock)?$/.exec(name)?.[1];
    if (token !== undefined && !known.has(token)) removeFile(`${store.base}/${name}`);
  }
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function reportJournal(dataset: Dataset): TakenUp[] {
  return listEntries(dataset.store.journal).flatMap((token) => {
    const entry = readEntry(dataset.store.journal, token);
    if (entry === undefined) return [];
    const isOver = endingOf(entry.owner, ownIdentity()) !== "unknown";
    return [{
      token,
      outcome: isOver ? "in doubt" : "at work",
      details: [
        entry.kind === "submission" ? `Command: ${entry.command}` : "A finish",
        ownerLine(entry),
      ],
    }];
  });
}
