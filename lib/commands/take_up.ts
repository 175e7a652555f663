import { type Dataset, openDataset } from "../dataset/dataset.ts";
import {
  finishedNames,
  finishName,
  isSubmission,
  jobKeyOf,
  nameOfFinish,
  readHistory,
  type RecordedJob,
} from "../dataset/history.ts";
import { asToolError } from "../errors.ts";
import { isRepository } from "../files.ts";
import { settleDraft } from "../git/index_draft.ts";
import { removeRefs } from "../git/refs.ts";
import { openWorktree, type Repository } from "../git/repository.ts";
import { stillThere, takeOff } from "../git/staged.ts";
import { findSubmission } from "../slurm/recover.ts";
import { findInQueue } from "../slurm/find_in_queue.ts";
import { parseSubmissions, saysRefused } from "../slurm/submission.ts";
import {
  type FinishEntry,
  hasEntry,
  type JournalEntry,
  listEntries,
  readEntry,
  removeEntry,
  type SubmissionEntry,
  type SubmissionFiles,
  submissionFiles,
  type UnreadableEntry,
} from "../store/journal.ts";
import { isSessionAlive } from "../process/session.ts";
import {
  isAliveHere,
  isSameProcess,
  ownIdentity,
  type ProcessIdentity,
  sharesPids,
} from "../store/lock_identity.ts";
import { release } from "../store/reservations.ts";
import { storeDirectories } from "../store/directories.ts";
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
import { type RecordedSubmission, RECORDING_REF, recordSubmissions } from "./record_submission.ts";
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
  /** Of what is at work: whether it is seen to be, on this machine; else nobody can prove its end. */
  readonly isSeen?: boolean;
  /** What is known, for people. */
  readonly details: readonly string[];
}

/** What the user says of a command that nobody else can know the end of. */
export interface UsersWord {
  /** The process that is dead, as the user says. */
  readonly dead: ProcessIdentity;
  /** The submission that {@link UsersWord.submitted} is about. */
  readonly token: string;
  /** The job that it submitted (`12`, `12;cluster`), or `none`, where Slurm cannot tell. */
  readonly submitted?: string | undefined;
}

/**
 * Goes on with what commands that are proven dead have left in the journal: records jobs that
 * Slurm has accepted, releases what was reserved for nothing. Never submits anything. What cannot
 * be taken up now is in doubt, and stands in nobody's way.
 */
export async function takeUpJournal(
  dataset: Dataset,
  patience: LockPatience,
  word?: UsersWord,
): Promise<TakenUp[]> {
  const { journal, lock } = dataset.store;
  const taken: TakenUp[] = [];
  const tokens = listEntries(journal);
  tidyLock(lock);
  const entries: JournalEntry[] = [];
  for (const token of tokens) {
    const entry = readEntry(journal, token);
    if (entry === undefined) {
      const failed = await attempt(token, () => clearUnwritten(dataset, token, patience));
      if (failed !== undefined) taken.push(failed);
    } else if (entry.kind === "unreadable") taken.push(unreadable(journal, entry));
    else entries.push(entry);
  }
  // A batch has many entries of one owner.
  for (const group of Map.groupBy(entries, ({ owner }) => JSON.stringify(owner)).values()) {
    const [first] = group;
    if (first === undefined) continue;
    const failed = await attempt(first.token, async () => {
      taken.push(...await takeUp(dataset, first, group, patience, word));
    });
    // Another process may have taken it up at the same time, and its files are gone.
    if (failed !== undefined && hasEntry(journal, first.token)) taken.push(failed);
  }
  return taken;
}

/** Does work that may fail; returns what is in doubt then, for reasons that are not ours. */
async function attempt(token: string, work: () => Promise<void>): Promise<TakenUp | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { token, outcome: "in doubt", details: [error.message] };
    }
    const known = asToolError(error);
    if (known?.kind !== "external" && known?.kind !== "refused") throw error;
    const { message, details = "", hint = "" } = known;
    const lines = [message, ...details.split("\n"), hint].filter((line) => line !== "");
    return { token, outcome: "in doubt", details: lines };
  }
}

function tidyLock(directory: string): void {
  try {
    sweepLitter(directory);
  } catch (error) {
    // Where that is not to be had the lock is not either, and whoever needs it says so.
    if (asToolError(error) === undefined) throw error;
  }
}

function unreadable(journal: string, { token, directory, reason }: UnreadableEntry): TakenUp {
  const { stdout, stderr } = readPrinted(submissionFiles(journal, token));
  return {
    token,
    outcome: "in doubt",
    details: [
      `Its journal entry cannot be read: ${reason}`,
      `Look at it and at squeue, then remove the directory ${JSON.stringify(directory)}`,
      ...[stdout.trim(), stderr.trim()].filter((text) => text !== "")
        .map((text) => `It printed: ${text}`),
    ],
  };
}

/** Takes up the entries of one process, of which `first` is the first. */
async function takeUp(
  dataset: Dataset,
  first: JournalEntry,
  group: readonly JournalEntry[],
  patience: LockPatience,
  word: UsersWord | undefined,
): Promise<TakenUp[]> {
  const isDead = word !== undefined && isSameProcess(word.dead, first.owner);
  if (!isDead && !await hasEnded(first.owner, first.since)) {
    return [{
      token: first.token,
      outcome: "at work",
      isSeen: isAliveHere(first.owner),
      details: describeEntry(first),
    }];
  }
  const taken: TakenUp[] = [];
  const submissions: SubmissionEntry[] = [];
  for (const entry of group) {
    // Of one that has ended just now, as it should, no entry is left.
    if (!hasEntry(dataset.store.journal, entry.token)) continue;
    if (entry.kind === "finish") taken.push(await dropFinish(dataset, entry, patience, word));
    else submissions.push(entry);
  }
  if (submissions.length > 0) {
    taken.push(...await takeUpSubmissions(dataset, submissions, patience, word));
  }
  return taken;
}

/** Returns what an entry says of its command, for people. */
export function describeEntry(entry: JournalEntry): string[] {
  const { owner, since } = entry;
  const job = owner.slurmJobId === undefined ? "" : `, in job ${owner.slurmJobId}`;
  return [
    entry.kind === "submission"
      ? `Command: ${entry.command}`
      : `A finish of ${entry.jobs.length} ${entry.jobs.length === 1 ? "job" : "jobs"}`,
    `${owner.user}@${owner.host}, pid ${owner.pid}${job}, since ` +
    `${new Date(since).toISOString().slice(0, 19)}Z`,
  ];
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
  word: UsersWord | undefined,
): Promise<TakenUp> {
  const { reservations } = storeDirectories(
    dataset.repository.commonDirectory,
    entry.worktree,
  );
  for (const path of entry.subdatasets ?? []) {
    // The user may have removed it since.
    if (!isRepository(`${dataset.root}/${path}`)) continue;
    const below = await openDataset(`${dataset.root}/${path}`);
    await takeUpJournal(below, patience, word);
    // Whoever takes a lock clears away a dead one.
    await locked(below, patience, () => Promise.resolve());
  }
  await locked(dataset, patience, async () => {
    // Others may have been faster, as many as there are.
    if (!hasEntry(dataset.store.journal, entry.token)) return;
    // Whatever branch is checked out by now: what no commit answers stays reserved.
    const { jobs } = await readHistory(dataset, "--all");
    const finished = finishedNames(jobs);
    const worktree = await openWorktree(dataset.repository, entry.worktree);
    if (entry.branches === true && worktree !== undefined) {
      await takeOffLeft(worktree, entry, jobs);
    }
    for (const { key, paths } of entry.jobs) {
      if (!finished.has(key)) continue;
      await releaseInSubdatasets(dataset, key, paths, patience);
      release(reservations, key, paths);
    }
    await removeRefs(dataset.repository, [entry.temporaryRef]);
    settleDraft(
      worktree ?? dataset.repository,
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

/**
 * Takes off the work tree what a finish has committed on branches of the jobs' own and was killed
 * before it had taken off: a merge of these branches wants no untracked files in its way.
 */
async function takeOffLeft(
  { root }: Repository,
  entry: FinishEntry,
  recorded: readonly RecordedJob[],
): Promise<void> {
  const wanted = new Set(entry.jobs.map(({ key, tasks }) => finishName(key, tasks)));
  const commits = recorded.filter((job) => wanted.has(nameOfFinish(job) ?? ""))
    .map(({ commit }) => commit);
  await takeOff(root, await stillThere(root, commits, `${entry.temporaryIndex}-left`));
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
  word: UsersWord | undefined,
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
      findings.push(await look(entry, submissionFiles(journal, entry.token), word));
    } catch (error) {
      // Another process may have taken it up at the same time, and its files are gone.
      const isGone = readEntry(journal, entry.token) === undefined;
      if (!(error instanceof Deno.errors.NotFound && isGone)) throw error;
    }
  }
  const accepted = findings.filter((finding) => finding.outcome === "accepted");
  const commits = accepted.length === 0
    ? new Map<string, RecordedSubmission>()
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
          return {
            token,
            outcome: "recorded",
            jobId,
            commit: commits.get(token)?.commit ?? "",
            details,
          };
        }
        case "nothing":
          return { token, outcome: "dropped", details: ["Nothing was submitted", ...details] };
        default:
          return { token, outcome: finding.outcome, isSeen: true, details };
      }
    }),
  ];
}

/** Finds out what became of a submission. */
async function look(
  entry: SubmissionEntry,
  files: SubmissionFiles,
  word: UsersWord | undefined,
): Promise<Finding> {
  const session = readSession(files.session);
  if (session === undefined) {
    return preventSession(files.session)
      ? { entry, outcome: "nothing", details: [] }
      : { entry, outcome: "at work", details: [`About to begin: ${entry.command}`] };
  }
  const printed = readPrinted(files);
  const { submissions, bare } = parseSubmissions(printed.stdout);
  // The number of a session on another machine, or before a reboot, says nothing here.
  const isHere = sharesPids(entry.owner, ownIdentity());
  const begun = writtenDown(files.session);
  if ((submissions.length === 0 || bare) && isHere && isSessionAlive(session, begun)) {
    return {
      entry,
      outcome: "at work",
      details: [
        `Command: ${entry.command}`,
        `runs on as session ${session}, without datalad-slurm`,
      ],
    };
  }
  const trace = traceOf(entry, files);
  const named = await identifyNamed(printed, trace, findSubmission);
  const isRefused = saysRefused(printed.stderr);
  const search = named !== undefined
    ? undefined
    // Accounting has a row of what was refused as well.
    : await (isRefused ? findInQueue(trace, { withRefused: false }) : findSubmission(trace));
  const asked = search?.asked ?? [];
  const identified = named ?? identifyFound(search?.found ?? []);
  if (identified !== undefined) {
    const others = identified.others.map(({ jobId }) =>
      `Its command submitted job ${jobId} as well`
    );
    return { entry, outcome: "accepted", ...identified, details: [...asked, ...others] };
  }
  // sacct and squeue show a user's own jobs: that they know none of another's says nothing.
  const isOurs = entry.owner.uid === ownIdentity().uid;
  if (search?.conclusive === true && isOurs && !mayStillBeAccepted(files)) {
    return { entry, outcome: "nothing", details: asked };
  }
  if (word?.token === entry.token && word.submitted !== undefined) {
    const details = [...asked, "The user knew it"];
    const [submission] = parseSubmissions(word.submitted).submissions;
    return submission === undefined
      ? { entry, outcome: "nothing", details }
      : { entry, outcome: "accepted", submission, others: [], details };
  }
  return {
    entry,
    outcome: "in doubt",
    details: [
      ...describeEntry(entry),
      printed.stderr.trim(),
      ...asked,
      ...(isOurs ? [] : [`Slurm has to be asked as the user ${entry.owner.user}`]),
    ].filter((line) => line !== ""),
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

/** Returns when a session's number was written down; now where that is not known. */
function writtenDown(path: string): Date {
  try {
    return Deno.statSync(path).mtime ?? new Date();
  } catch {
    return new Date();
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

/**
 * Opens a dataset as it is after {@link takeUpJournal}. What is in doubt is said, so that nobody
 * forgets it.
 */
export async function openTakingUp(
  directory: string | undefined,
  patience: LockPatience,
): Promise<Dataset> {
  const dataset = await openDataset(directory);
  const taken = await takeUpJournal(dataset, patience);
  for (const { outcome, details: [first = ""] } of taken) {
    if (outcome !== "in doubt") continue;
    patience.say?.(
      `Note: It is in doubt what became of another command (${first}); ` +
        "see: datalad-slurm recover",
    );
  }
  return taken.some(({ outcome }) => outcome === "recorded")
    ? await openDataset(directory)
    : dataset;
}
