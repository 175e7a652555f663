import { type Dataset, openDataset } from "../dataset/dataset.ts";
import { jobKeyOf, readHistory } from "../dataset/history.ts";
import { removeRefs } from "../git/refs.ts";
import { findSubmission } from "../slurm/recover.ts";
import { parseSubmission } from "../slurm/submission.ts";
import {
  type JournalEntry,
  listEntries,
  readEntry,
  removeEntry,
  type SubmissionEntry,
  submissionFiles,
} from "../store/journal.ts";
import { endingOf, ownIdentity } from "../store/lock_identity.ts";
import { release } from "../store/reservations.ts";
import { storeDirectories } from "../store/directories.ts";
import { locked, type LockPatience } from "./locked.ts";
import { releaseInSubdatasets } from "./reserve_outputs.ts";
import { readPrinted, recordSubmission, traceOf } from "./submission.ts";

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
  for (const token of listEntries(dataset.store.journal)) {
    const entry = readEntry(dataset.store.journal, token);
    if (entry === undefined) continue;
    if (endingOf(entry.owner, ownIdentity()) === "unknown") {
      taken.push({ token, outcome: "at work", details: [ownerLine(entry)] });
    } else if (entry.kind === "finish") {
      taken.push(await dropFinish(dataset, entry.token, entry.temporaryRef, patience));
    } else {
      taken.push(await takeUpSubmission(dataset, entry, patience));
    }
  }
  return taken;
}

function ownerLine({ owner, since }: JournalEntry): string {
  return `${owner.user}@${owner.host}, pid ${owner.pid}, since ${new Date(since).toISOString()}`;
}

/** A finish that was cut short has published everything or nothing. */
async function dropFinish(
  dataset: Dataset,
  token: string,
  temporaryRef: string,
  patience: LockPatience,
): Promise<TakenUp> {
  await locked(dataset, patience, async () => {
    await removeRefs(dataset.repository, [temporaryRef]);
    removeEntry(dataset.store.journal, token);
  });
  return { token, outcome: "dropped", details: ["A finish was cut short; run it again"] };
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
  if (session === undefined) return await dropSubmission(dataset, entry, patience, []);
  const printed = readPrinted(files);
  const named = parseSubmission(printed.stdout);
  if (named === undefined && isAlive(session)) {
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

function isAlive(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

/** Opens a dataset and goes on with what other commands have left there. */
export async function recover(
  directory: string | undefined,
  patience: LockPatience,
): Promise<TakenUp[]> {
  return await takeUpJournal(await openDataset(directory), patience);
}
