import { type Dataset, openDataset } from "../dataset/dataset.ts";
import {
  finishedNames,
  finishName,
  isSubmission,
  jobKeyOf,
  openAfter,
  readHistory,
} from "../dataset/history.ts";
import { settleDraft } from "../git/index_draft.ts";
import { removeRefs } from "../git/refs.ts";
import { findSubmission } from "../slurm/recover.ts";
import { parseSubmissions } from "../slurm/submission.ts";
import {
  type FinishEntry,
  type JournalEntry,
  listEntries,
  readEntry,
  removeEntry,
  type SubmissionEntry,
  type SubmissionFiles,
  submissionFiles,
} from "../store/journal.ts";
import { isSessionAlive } from "../process/session.ts";
import { endingOf, ownIdentity } from "../store/lock_identity.ts";
import { clearOpenJobsLeftovers } from "../store/open_jobs.ts";
import { listReservations, release } from "../store/reservations.ts";
import { storeDirectories } from "../store/directories.ts";
import { clearEnvironments } from "./environment_file.ts";
import { sweepLitter } from "../store/lock.ts";
import {
  type Identified,
  identifyFound,
  identifyNamed,
  mayStillBeAccepted,
  traceOf,
} from "./identify_job.ts";
import { locked, type LockPatience } from "./locked.ts";
import { hasEnded } from "./owner.ts";
import { releaseInSubdatasets } from "./reserve_outputs.ts";
import { RECORDING_REF, recordSubmissions } from "./record_submission.ts";
import { readPrinted } from "./submitting_command.ts";

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
  const entries: JournalEntry[] = [];
  for (const token of listEntries(dataset.store.journal)) {
    const entry = readEntry(dataset.store.journal, token);
    if (entry === undefined) await clearUnwritten(dataset, token, patience);
    else entries.push(entry);
  }
  // A batch has many entries of one owner.
  for (const group of Map.groupBy(entries, ({ owner }) => JSON.stringify(owner)).values()) {
    const [first] = group;
    if (first === undefined) continue;
    if (!await hasEnded(first.owner)) {
      taken.push({ token: first.token, outcome: "at work", details: [ownerLine(first)] });
      continue;
    }
    const submissions: SubmissionEntry[] = [];
    for (const entry of group) {
      if (entry.kind === "finish") taken.push(await dropFinish(dataset, entry, patience));
      else submissions.push(entry);
    }
    if (submissions.length > 0) {
      taken.push(...await takeUpSubmissions(dataset, submissions, patience));
    }
  }
  return taken;
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
    const finished = finishedNames(jobs);
    for (const { key, paths } of entry.jobs) {
      if (!finished.has(key)) continue;
      await releaseInSubdatasets(dataset, key, paths, patience);
      release(reservations, key, paths);
    }
    await removeRefs(dataset.repository, [entry.temporaryRef]);
    settleDraft(
      dataset.repository,
      entry.temporaryIndex,
      entry.jobs.some(({ key, tasks }) => finished.has(finishName(key, tasks))),
    );
    removeEntry(dataset.store.journal, entry.token);
  });
  return {
    token: entry.token,
    outcome: "dropped",
    details: ["A finish was cut short; run it again"],
  };
}

/** What is found out about a submission that was cut short. */
type Finding =
  & { readonly entry: SubmissionEntry; readonly details: readonly string[] }
  & (
    | { readonly outcome: "accepted" } & Identified
    | { readonly outcome: "nothing" | "in doubt" | "at work" }
  );

/** Takes up submissions of one dead process; the lock is taken and history read once for all. */
async function takeUpSubmissions(
  dataset: Dataset,
  entries: readonly SubmissionEntry[],
  patience: LockPatience,
): Promise<TakenUp[]> {
  const { journal } = dataset.store;
  const { jobs } = await readHistory(dataset, "--all");
  const recorded = new Map(
    jobs.filter(isSubmission).map((job) => [jobKeyOf(job), job.jobId]),
  );
  const findings: Finding[] = [];
  for (const entry of entries) {
    if (recorded.has(entry.token)) continue;
    try {
      findings.push(await look(entry, submissionFiles(journal, entry.token)));
    } catch (error) {
      // Another process may have taken it up at the same time, and its files are gone.
      const isGone = readEntry(journal, entry.token) === undefined;
      if (!(error instanceof Deno.errors.NotFound && isGone)) throw error;
    }
  }
  const accepted = findings.filter((finding) => finding.outcome === "accepted");
  const commits = accepted.length === 0
    ? new Map<string, string>()
    : await recordSubmissions(dataset, accepted, patience);
  const nothing = findings.filter(({ outcome }) => outcome === "nothing");
  const done = entries.filter(({ token }) => recorded.has(token));
  if (nothing.length + done.length > 0) {
    await drop(dataset, nothing.map(({ entry }) => entry), done, patience);
  }
  return [
    ...done.map(({ token }): TakenUp => ({
      token,
      outcome: "dropped",
      jobId: recorded.get(token) ?? "",
      details: ["It was recorded"],
    })),
    ...findings.map((finding): TakenUp => {
      const { entry: { token }, details } = finding;
      switch (finding.outcome) {
        case "accepted": {
          const { jobId } = finding.submission;
          return { token, outcome: "recorded", jobId, commit: commits.get(token) ?? "", details };
        }
        case "nothing":
          return { token, outcome: "dropped", details: ["Nothing was submitted", ...details] };
        default:
          return { token, outcome: finding.outcome, details };
      }
    }),
  ];
}

/** Finds out what became of a submission. */
async function look(entry: SubmissionEntry, files: SubmissionFiles): Promise<Finding> {
  const session = readSession(files.session);
  if (session === undefined) {
    return preventSession(files.session)
      ? { entry, outcome: "nothing", details: [] }
      : { entry, outcome: "at work", details: ["Its command is about to begin"] };
  }
  const printed = readPrinted(files);
  const { submissions, bare } = parseSubmissions(printed.stdout);
  if ((submissions.length === 0 || bare) && isSessionAlive(session)) {
    return { entry, outcome: "at work", details: [`Its command runs as session ${session}`] };
  }
  const trace = traceOf(entry, files);
  const named = await identifyNamed(printed, trace, findSubmission);
  const search = named === undefined ? await findSubmission(trace) : undefined;
  const asked = search?.asked ?? [];
  const identified = named ?? identifyFound(search?.found ?? []);
  if (identified !== undefined) {
    const others = identified.others.map(({ jobId }) =>
      `Its command submitted job ${jobId} as well`
    );
    return { entry, outcome: "accepted", ...identified, details: [...asked, ...others] };
  }
  if (search?.conclusive === true && !mayStillBeAccepted(files)) {
    return { entry, outcome: "nothing", details: asked };
  }
  return {
    entry,
    outcome: "in doubt",
    details: [`Command: ${entry.command}`, ownerLine(entry), printed.stderr.trim(), ...asked]
      .filter((line) => line !== ""),
  };
}

/** Drops entries, with what is reserved for those that have led to nothing. */
async function drop(
  dataset: Dataset,
  nothing: readonly SubmissionEntry[],
  done: readonly SubmissionEntry[],
  patience: LockPatience,
): Promise<void> {
  const { repository, store } = dataset;
  for (const { token, paths } of nothing) {
    await releaseInSubdatasets(dataset, token, paths, patience);
  }
  await locked(dataset, patience, async () => {
    for (const { token, paths, worktree } of nothing) {
      release(storeDirectories(repository.commonDirectory, worktree).reservations, token, paths);
    }
    for (const { token } of [...nothing, ...done]) removeEntry(store.journal, token);
    // Left by one that was killed while it made the commits of several jobs.
    await removeRefs(repository, [RECORDING_REF]);
  });
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
  /** The root of the dataset. */
  readonly root: string;
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
  return { root: dataset.root, journal, released };
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
