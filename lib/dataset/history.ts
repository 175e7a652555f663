import { ToolError } from "../errors.ts";
import { type LoggedCommit, newRecordedCommits, recordedCommits } from "../git/log.ts";
import { decodeMessage } from "../record/message.ts";
import { recordPaths } from "../record/paths.ts";
import type { JobRecord } from "../record/schema.ts";
import { IndexSet } from "../slurm/array.ts";
import type { TaskRuns } from "../slurm/task_runs.ts";
import {
  type OpenJobsCache,
  PRESENT_CACHE,
  readOpenJobsCache,
  writeOpenJobsCache,
} from "../store/open_jobs.ts";
import type { Dataset } from "./dataset.ts";
import { type Awaited, isAnyHere, readSidecar, RecordNotHere } from "./sidecar.ts";

/** One commit of a job in history. */
export interface RecordedJob {
  readonly commit: string;
  /**
   * A `part` finishes some tasks of an array, which stays open. A `run` is both submission and
   * result: the form of version 0.2.5 of the DataLad extension.
   */
  readonly kind: "schedule" | "reschedule" | "part" | "finish" | "run";
  readonly jobId: string;
  /** The user's own words. */
  readonly message: string | undefined;
  /** The state in the subject: `Pending`, `Complete`, `Failed`. */
  readonly state: string;
  readonly record: JobRecord;
  /** Of an open array: what its parts have finished already. */
  readonly finished?: FinishedTasks;
  /** What Slurm has said of its runs, where it was asked: the names of its logs depend on it. */
  readonly ran?: JobRuns;
}

/** How a job has run, as far as Slurm tells. */
export interface JobRuns {
  readonly runs: TaskRuns;
  /** Tasks of an array that ended without ever having started. */
  readonly idle: IndexSet;
}

/** The tasks of an open array that are finished, in Slurm's notation. */
export interface FinishedTasks {
  /** By Slurm's word for their state. */
  readonly states: Readonly<Record<string, string>>;
  /** Those of them that were closed without their files. */
  readonly closed?: string;
}

/** A commit that claims to be ours and cannot be understood. */
export interface UnreadableRecord {
  readonly commit: string;
  readonly reason: string;
  /** What it can be read with, where only that is missing. */
  readonly awaits?: Awaited | undefined;
}

/** The jobs that are open at a commit: submitted, and answered by no finish commit. */
export interface OpenJobs {
  readonly jobs: readonly RecordedJob[];
  readonly unreadable: readonly UnreadableRecord[];
}

/** All that history says of jobs, oldest first. */
export interface History {
  readonly jobs: readonly RecordedJob[];
  readonly unreadable: readonly UnreadableRecord[];
}

/**
 * Returns the jobs that are open at a commit. Only the history since the last call is read, unless
 * the cache is missing, was taken at a commit that is no ancestor, or lacks a record that can be read
 * by now. Throws a {@link ToolError} when a program fails: that says nothing of the records, and must
 * not be kept.
 */
export async function readOpenJobs(dataset: Dataset, tip = dataset.head): Promise<OpenJobs> {
  const cached = await usableCache(dataset);
  if (cached?.head === tip) {
    return { jobs: cached.jobs as RecordedJob[], unreadable: cached.unreadable };
  }
  const news = cached === undefined
    ? undefined
    : await newRecordedCommits(dataset.root, tip, cached.head);
  const known = news?.linear === true ? cached : undefined;
  const commits = known === undefined || news === undefined
    ? await recordedCommits(dataset.root, tip)
    : news.commits;
  const found = await decodeCommits(dataset, commits);
  const jobs = openAfter([...(known?.jobs as RecordedJob[] | undefined ?? []), ...found.jobs]);
  const unreadable = [...(known?.unreadable ?? []), ...found.unreadable];
  writeOpenJobsCache(dataset.store.openJobs, { ...PRESENT_CACHE, head: tip, jobs, unreadable });
  return { jobs, unreadable };
}

/**
 * Returns the cache. Not when a record that could not be read can be read by now: what comes after it
 * in history may answer it, and only the whole tells.
 */
async function usableCache({ root, store }: Dataset): Promise<OpenJobsCache | undefined> {
  const cached = readOpenJobsCache(store.openJobs);
  const awaited = cached?.unreadable.flatMap(({ awaits }) => awaits ?? []) ?? [];
  return await isAnyHere(root, awaited) ? undefined : cached;
}

/**
 * Returns everything recorded in the history of a commit; `since` leaves out what it reaches, where it
 * is here.
 */
export async function readHistory(
  dataset: Dataset,
  tip = dataset.head,
  since?: string,
): Promise<History> {
  const news = since === undefined ? undefined : await newRecordedCommits(dataset.root, tip, since);
  const commits = news?.commits ?? await recordedCommits(dataset.root, tip);
  return await decodeCommits(dataset, commits);
}

/**
 * Returns the submissions that no later finish answers, with what parts of them are finished; the
 * jobs are given oldest first.
 */
export function openAfter(jobs: readonly RecordedJob[]): RecordedJob[] {
  const open = new Map<string, RecordedJob>();
  const byId = new Map<string, string[]>();
  for (const job of jobs) {
    if (job.kind === "schedule" || job.kind === "reschedule") {
      const key = jobKeyOf(job);
      open.set(key, job);
      byId.set(job.jobId, [...(byId.get(job.jobId) ?? []), key]);
    } else if (job.kind === "finish" || job.kind === "part") {
      const key = answeredKey(job, open, byId);
      const answered = key === undefined ? undefined : open.get(key);
      if (key === undefined || answered === undefined) continue;
      if (job.kind === "finish") open.delete(key);
      else open.set(key, { ...answered, finished: withPart(answered.finished, job) });
    }
  }
  return [...open.values()];
}

/** Returns the tasks that are finished after one more part. */
function withPart(before: FinishedTasks | undefined, { record }: RecordedJob): FinishedTasks {
  const { array_tasks, task_states, closed_tasks, state = "UNKNOWN" } = record.datalad_slurm ?? {};
  const states = task_states ?? (array_tasks === undefined ? {} : { [state]: array_tasks });
  const closed = IndexSet.of(before?.closed).addAll(IndexSet.of(closed_tasks));
  return {
    states: mergeStates(before?.states ?? {}, states),
    ...(closed.size === 0 ? {} : { closed: `${closed}` }),
  };
}

/** Returns tasks by their state, of two lists of them. */
export function mergeStates(
  one: Readonly<Record<string, string>>,
  other: Readonly<Record<string, string>>,
): Record<string, string> {
  const merged = Object.entries(other).map(([state, tasks]) =>
    [
      state,
      one[state] === undefined ? tasks : `${IndexSet.of(one[state]).addAll(IndexSet.of(tasks))}`,
    ] as const
  );
  return { ...one, ...Object.fromEntries(merged) };
}

/** Returns the tasks of an array that its parts have finished. */
export function finishedTasks({ finished }: RecordedJob): IndexSet {
  const all = new IndexSet();
  for (const tasks of Object.values(finished?.states ?? {})) all.addAll(IndexSet.of(tasks));
  return all;
}

/**
 * Returns what commits say is finished: a job's key, or its key with the tasks of a part, as
 * {@link finishName} has it.
 */
export function finishedNames(jobs: readonly RecordedJob[]): Set<string> {
  return new Set(jobs.flatMap((job) => nameOfFinish(job) ?? []));
}

/** Returns what {@link finishName} has for the finish that a commit records; undefined for others. */
export function nameOfFinish(job: RecordedJob): string | undefined {
  if (job.kind === "finish") return finishName(jobKeyOf(job));
  if (job.kind !== "part") return undefined;
  return finishName(jobKeyOf(job), job.record.datalad_slurm?.array_tasks);
}

/** Returns what stands for the finish of a job, or of some tasks of it. */
export function finishName(key: string, tasks?: string): string {
  return tasks === undefined ? key : `${key} ${tasks}`;
}

/** Whether a commit records that a job was submitted. */
export function isSubmission({ kind }: RecordedJob): boolean {
  return kind !== "finish" && kind !== "part";
}

/**
 * Returns what stands for one submission, also after a rebase has given its commit another id: the
 * token, or the commit for records that have none.
 */
export function jobKeyOf(job: RecordedJob): string {
  return job.record.datalad_slurm?.token ?? `commit:${job.commit}`;
}

function answeredKey(
  finish: RecordedJob,
  open: ReadonlyMap<string, RecordedJob>,
  byId: ReadonlyMap<string, readonly string[]>,
): string | undefined {
  const token = finish.record.datalad_slurm?.token;
  if (token !== undefined && open.has(token)) return token;
  const scheduled = finish.record.datalad_slurm?.schedule_commit;
  if (scheduled !== undefined && open.has(`commit:${scheduled}`)) return `commit:${scheduled}`;
  // Records of the extension name the job only. Ids are used again after years: the oldest first.
  return byId.get(finish.jobId)?.find((key) =>
    open.has(key) && (token === undefined || key.startsWith("commit:"))
  );
}

async function decodeCommits(
  dataset: Dataset,
  commits: readonly LoggedCommit[],
): Promise<History> {
  const jobs: RecordedJob[] = [];
  const unreadable: UnreadableRecord[] = [];
  for (const { commit, message } of commits) {
    try {
      const job = await decodeCommit(dataset, commit, message);
      if (job !== undefined) jobs.push(job);
    } catch (error) {
      if (!(error instanceof ToolError && error.kind === "refused")) throw error;
      const { message: reason } = error;
      const awaits = error instanceof RecordNotHere ? error.awaits : undefined;
      unreadable.push({ commit, reason, ...(awaits === undefined ? {} : { awaits }) });
    }
  }
  return { jobs, unreadable };
}

/**
 * Returns the job that a commit records, or undefined. Throws a {@link ToolError}, of kind `refused` if
 * the record is malformed or not here.
 */
export async function decodeCommit(
  dataset: Dataset,
  commit: string,
  message: string,
): Promise<RecordedJob | undefined> {
  const decoded = decodeMessage(commit, message);
  if (decoded === undefined) return undefined;
  const record = "record" in decoded
    ? decoded.record
    : await readSidecar(dataset.root, commit, decoded.sidecar, decoded.jobId);
  return {
    commit,
    kind: decoded.tasks === undefined ? decoded.kind : "part",
    jobId: decoded.jobId,
    message: decoded.userMessage,
    state: decoded.stateWord,
    // Older forms count paths from elsewhere than the root.
    record: { ...record, ...recordPaths(record, dataset.root) },
  };
}
