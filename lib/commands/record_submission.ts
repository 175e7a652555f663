import type { Dataset } from "../dataset/dataset.ts";
import { isSubmission, jobKeyOf, readHistory } from "../dataset/history.ts";
import { createCommit } from "../git/commit.ts";
import { createCommitSeries } from "../git/commit_series.ts";
import { readIdentity } from "../git/identity.ts";
import { resolveCommit } from "../git/refs.ts";
import { encodeMessage } from "../record/message.ts";
import type { ToolPart, WrittenRecord } from "../record/schema.ts";
import { IndexSet } from "../slurm/array.ts";
import { jobKey } from "../slurm/query.ts";
import { mayLackTasks, showJob, showJobs, type ShownJob, withTasks } from "../slurm/show_job.ts";
import { readSbatchCall } from "../slurm/sbatch_call.ts";
import type { Submission } from "../slurm/submission.ts";
import { arrayTasks } from "../slurm/task_runs.ts";
import { hasEntry, removeEntry, type SubmissionEntry, submissionFiles } from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { locked, type LockPatience } from "./locked.ts";
import { type FilePins, keptPins, pinsForRecord, scriptOfCommand } from "./pin_files.ts";
import { describeSubmission } from "./submitted_job.ts";

/** A submission that Slurm has accepted. */
export interface AcceptedSubmission {
  readonly entry: SubmissionEntry;
  readonly submission: Submission;
  /** What slurmctld knows of it, where it was asked already. */
  readonly job?: ShownJob | undefined;
  /** What its job was submitted with; read from the journal where absent. */
  readonly pins?: FilePins;
}

/** A submission that has its commit. */
export interface RecordedSubmission {
  readonly commit: string;
  /** What slurmctld knows of it; undefined where it gave no answer. */
  readonly job: ShownJob | undefined;
}

/** Names the last of several records while they are made; used under the repository lock only. */
export const RECORDING_REF = "refs/datalad-slurm/recording";

/**
 * Commits the records of submissions, drops their journal entries, and returns the commits, and
 * what Slurm has said of the jobs, by token. A commit has its parent's tree: no file, no index and no work tree is touched.
 */
export async function recordSubmissions(
  dataset: Dataset,
  accepted: readonly AcceptedSubmission[],
  patience: LockPatience,
): Promise<Map<string, RecordedSubmission>> {
  const all = new Map<string, RecordedSubmission>();
  for (const group of Map.groupBy(accepted, ({ entry }) => placeOf(entry)).values()) {
    const [first] = group;
    if (first === undefined) continue;
    const branch = await branchFor(dataset, first.entry);
    const onBranch = { ...dataset, repository: { ...dataset.repository, branch } };
    const recorded = await recordOnBranch(
      onBranch,
      branch === dataset.repository.branch,
      group,
      patience,
    );
    for (const [token, one] of recorded) all.set(token, one);
  }
  return all;
}

/** What {@link branchFor} depends on. */
function placeOf({ branch, worktree }: SubmissionEntry): string {
  return JSON.stringify([branch, worktree]);
}

/**
 * Returns the ref that a record goes to: its own branch, or the one that is checked out where its
 * own is gone by now, since the record of a job must go somewhere.
 */
async function branchFor({ repository }: Dataset, entry: SubmissionEntry): Promise<string> {
  const isHere = entry.worktree === repository.worktree;
  const ref = entry.branch !== "HEAD" || isHere
    ? entry.branch
    : entry.worktree === undefined
    ? "main-worktree/HEAD"
    : `worktrees/${entry.worktree}/HEAD`;
  if (ref === repository.branch) return ref;
  return await resolveCommit(repository, ref) === undefined ? repository.branch : ref;
}

async function recordOnBranch(
  dataset: Dataset,
  isCurrent: boolean,
  accepted: readonly AcceptedSubmission[],
  patience: LockPatience,
): Promise<Map<string, RecordedSubmission>> {
  const { repository, root, store } = dataset;
  const shown = await withTheirTasks(accepted, await showAll(accepted));
  const messages = new Map<string, string>();
  for (const [index, { entry, submission, pins }] of accepted.entries()) {
    const altDir = entry.record["alt_dir"];
    const places = { root, ...(typeof altDir === "string" ? { altDir } : {}) };
    const job = shown[index];
    const known = pins ?? keptPins(submissionFiles(store.journal, entry.token));
    const inputs = [entry.record["inputs"], entry.record["extra_inputs"]].flat() as string[];
    messages.set(
      entry.token,
      messageOf(entry, submission, {
        ...(job === undefined ? {} : { job: describeSubmission(job, places) }),
        ...await pinsForRecord(
          known,
          inputs,
          job ?? scriptOfCommand(entry.command, entry.directory),
          places,
        ),
      }),
    );
  }
  const forget = (recorded: Map<string, string>) => {
    for (const token of recorded.keys()) removeEntry(store.journal, token);
    const jobs = new Map(accepted.map(({ entry }, index) => [entry.token, shown[index]]));
    return new Map(
      [...recorded].map(([token, commit]) => [token, { commit, job: jobs.get(token) }]),
    );
  };
  return await locked(dataset, patience, async ({ lock, readTip, publish }) => {
    lock.phase("refs only");
    // git refuses a parent that is not the branch's tip any more: only then is it looked up.
    // After the first of several takings it is, almost for sure.
    let parent = isCurrent && accepted.length === 1 ? dataset.head : (await readTip()).commit;
    for (let isFirst = true;; isFirst = false, parent = (await readTip()).commit) {
      const recorded = await recordedMeanwhile(
        dataset,
        accepted.map(({ entry }) => entry),
        isFirst,
      );
      const missing = [...messages].filter(([token]) => !recorded.has(token));
      if (missing.length === 0) return forget(recorded);
      const ids = await createRecords(dataset, parent, missing.map(([, message]) => message));
      const reason = missing.length === 1
        ? missing[0]?.[1].split("\n", 1)[0] ?? ""
        : `datalad-slurm: ${missing.length} jobs submitted`;
      const moved = await publish({
        ref: repository.branch,
        newId: ids.at(-1) ?? parent,
        oldId: parent,
        ...(missing.length === 1 ? {} : { remove: [RECORDING_REF] }),
        reason,
      });
      if (!moved) continue;
      return forget(
        new Map([
          ...recorded,
          ...missing.map(([token], index) => [token, ids[index] ?? ""] as const),
        ]),
      );
    }
  });
}

/** Returns the jobs with all tasks of arrays that may not be known to slurmctld any more. */
async function withTheirTasks(
  accepted: readonly AcceptedSubmission[],
  shown: readonly (ShownJob | undefined)[],
): Promise<(ShownJob | undefined)[]> {
  // Since the beginning, for want of a better time: to ask once too often does no harm.
  const late = accepted.filter(({ entry }, index) =>
    shown[index] !== undefined && mayLackTasks(shown[index], Date.now() - entry.since)
  );
  if (late.length === 0) return [...shown];
  const told = await arrayTasks(late.map(({ submission, entry }) => ({
    ...submission,
    submittedAt: new Date(entry.since),
  })));
  return accepted.map((one, index) => {
    const job = shown[index];
    if (job === undefined || !late.includes(one)) return job;
    const { submission, entry } = one;
    const known = told.get(jobKey(submission)) ?? IndexSet.of(arrayOf(entry.command));
    return withTasks(job, submission.jobId, known);
  });
}

/** Returns the array that a command line submits, where it is one plain call of sbatch that says so. */
function arrayOf(command: string): string | undefined {
  const read = readSbatchCall(command);
  return "call" in read ? read.call.array : undefined;
}

/** Asks slurmctld about the jobs of which it was not asked yet, in one go. */
async function showAll(
  accepted: readonly AcceptedSubmission[],
): Promise<(ShownJob | undefined)[]> {
  const unknown = accepted.filter(({ job }) => job === undefined);
  const [only, ...others] = unknown;
  if (only !== undefined && others.length === 0) {
    const answer = await showJob(only.submission);
    const found = typeof answer === "string" ? undefined : answer.job;
    return accepted.map(({ job }) => job ?? found);
  }
  const shown = await showJobs(unknown.map(({ submission }) => submission));
  return accepted.map(({ job, submission }) => job ?? shown.get(jobKey(submission)));
}

function messageOf(
  entry: SubmissionEntry,
  submission: Submission,
  known: Partial<ToolPart>,
): string {
  const record = {
    ...entry.record,
    slurm_job_id: submission.jobId,
    datalad_slurm: {
      ...entry.record["datalad_slurm"] as ToolPart,
      ...(submission.cluster === undefined ? {} : { cluster: submission.cluster }),
      ...known,
    },
  } as WrittenRecord;
  return encodeMessage({
    kind: entry.reschedule ? "reschedule" : "schedule",
    jobId: submission.jobId,
    ...(entry.message === undefined ? {} : { message: entry.message }),
    record,
  });
}

/** Makes one commit for each message, one after the other from `parent`, and returns their ids. */
async function createRecords(
  { root, configuration }: Dataset,
  parent: string,
  messages: readonly string[],
): Promise<string[]> {
  const sign = configuration.getBoolean("commit.gpgsign", false);
  const [only, ...others] = messages;
  if (only !== undefined && others.length === 0) {
    return [
      await createCommit(root, {
        tree: `${parent}^{tree}`,
        parents: [parent],
        message: only,
        sign,
      }),
    ];
  }
  const [author, committer] = await Promise.all([
    readIdentity(root, "AUTHOR"),
    readIdentity(root, "COMMITTER"),
  ]);
  const series = messages.map((message, index) => ({
    message,
    changes: [],
    parents: [index === 0 ? parent : index - 1],
  }));
  return await createCommitSeries(root, series, {
    temporaryRef: RECORDING_REF,
    author,
    committer,
    sign,
  });
}

/**
 * Returns the commits by which submissions are recorded by now: other processes may have taken them
 * up. At the first try of their owner nobody can have.
 */
async function recordedMeanwhile(
  dataset: Dataset,
  entries: readonly SubmissionEntry[],
  isFirst: boolean,
): Promise<Map<string, string>> {
  // Of a dead process's submission another one may have made the commit, and died then.
  const { pid, host } = ownIdentity();
  const doubtful = entries.filter(({ owner, token }) =>
    !isFirst || owner.pid !== pid || owner.host !== host || !hasEntry(dataset.store.journal, token)
  );
  if (doubtful.length === 0) return new Map();
  const wanted = new Set(doubtful.map(({ token }) => token));
  const { jobs } = await readHistory(dataset, dataset.repository.branch);
  return new Map(
    jobs.filter((job) => isSubmission(job) && wanted.has(jobKeyOf(job)))
      .map((job) => [jobKeyOf(job), job.commit]),
  );
}
