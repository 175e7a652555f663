import type { Dataset } from "../dataset/dataset.ts";
import {
  finishedTasks,
  jobKeyOf,
  readHistory,
  readOpenJobs,
  type RecordedJob,
} from "../dataset/history.ts";
import { submittedTasks } from "../dataset/task_paths.ts";
import { ToolError } from "../errors.ts";
import { isAncestor, recordedCommits } from "../git/log.ts";
import { resolveCommit } from "../git/refs.ts";
import { IndexSet } from "../slurm/array.ts";
import { explainUnknown, type Explanation } from "./unknown_job.ts";

/** Which jobs a command is about. */
export interface Selection {
  /** Commits, job ids, or tasks of an array (`45_3`, `45_[0-4,7]`); none for all open jobs. */
  readonly targets: readonly string[];
  /** Only jobs submitted after this commit. */
  readonly since?: string | undefined;
  /** Those that were chosen before; targets and `since` do not count then. */
  readonly chosen?: ChosenJobs | undefined;
}

/** Jobs by key, each with the array tasks that are meant where not all are. */
export type ChosenJobs = ReadonlyMap<string, IndexSet | undefined>;

/** A target that names no open job, and why. */
export interface NotOpen extends Explanation {
  readonly target: string;
}

/** The jobs that were found. */
export interface SelectedJobs {
  readonly jobs: readonly RecordedJob[];
  /** The array tasks that are meant, by job key, of jobs of which not all are. */
  readonly tasks: ReadonlyMap<string, IndexSet>;
  readonly notOpen: readonly NotOpen[];
  /** All open jobs, the selected among them. */
  readonly open: readonly RecordedJob[];
  /** Commits with a record that cannot be read. */
  readonly unreadable: readonly string[];
}

/** Returns the open jobs that a selection names. Throws a {@link ToolError} for a bad `since`. */
export async function selectOpenJobs(
  dataset: Dataset,
  selection: Selection,
): Promise<SelectedJobs> {
  const { jobs: open, unreadable } = await readOpenJobs(dataset);
  const { chosen } = selection;
  if (chosen !== undefined) {
    const jobs = open.filter((job) => chosen.has(jobKeyOf(job)));
    const tasks = new Map(
      [...chosen].flatMap(([key, tasks]) => tasks === undefined ? [] : [[key, tasks] as const]),
    );
    return { jobs, tasks, notOpen: [], open, unreadable: [] };
  }
  const candidates = selection.since === undefined
    ? open
    : await submittedSince(dataset, open, selection.since);
  const complaints = unreadable.map(({ commit, reason }) =>
    reason.includes(commit) ? reason : `Commit ${commit}: ${reason}`
  );
  if (selection.targets.length === 0) {
    return { jobs: candidates, tasks: new Map(), notOpen: [], open, unreadable: complaints };
  }
  const jobs = new Map<string, RecordedJob>();
  const tasks = new Map<string, IndexSet>();
  const notOpen: NotOpen[] = [];
  for (const target of selection.targets) {
    const [jobId, list] = partOfArray(target) ?? [target];
    const found = await findOpen(dataset, candidates, jobId);
    if (found.length === 0) notOpen.push({ target, ...await whyNotOpen(dataset, jobId) });
    for (const job of found) {
      const key = jobKeyOf(job);
      const reason = list && whyNoTasks(job, list);
      if (reason !== undefined) {
        notOpen.push({ target, reason });
        continue;
      }
      // A job that is named as a whole, too, is meant as a whole.
      if (list === undefined) tasks.delete(key);
      else if (!jobs.has(key)) tasks.set(key, list);
      else tasks.get(key)?.addAll(list);
      jobs.set(key, job);
    }
  }
  return { jobs: [...jobs.values()], tasks, notOpen, open, unreadable: complaints };
}

/** Reads tasks of an array as Slurm names them: `45_3`, `45_[0-4,7]`. */
function partOfArray(target: string): [string, IndexSet] | undefined {
  const [, jobId, task, list] = /^(\d+)_(?:(\d+)|\[([\d,:-]+)\])$/.exec(target) ?? [];
  const tasks = IndexSet.of(task ?? list);
  return jobId === undefined || tasks.size === 0 ? undefined : [jobId, tasks];
}

/** Says why tasks of an open job cannot be meant; undefined where some of them can. */
function whyNoTasks(job: RecordedJob, tasks: IndexSet): string | undefined {
  const submitted = submittedTasks(job);
  if (submitted === undefined && job.record.datalad_slurm?.job?.submit_time !== undefined) {
    return `Job ${job.jobId} is no array`;
  }
  const others = submitted && tasks.without(submitted);
  if (others !== undefined && others.size > 0) {
    return `Job ${job.jobId} has no task ${others}: its tasks are ${submitted}`;
  }
  return tasks.without(finishedTasks(job)).size > 0
    ? undefined
    : `The tasks ${tasks} of job ${job.jobId} are finished already`;
}

/** Returns the full id of a commit named on the command line; throws when there is none. */
export async function requireCommit(dataset: Dataset, expression: string): Promise<string> {
  const commit = await resolveCommit(dataset.repository, expression);
  if (commit !== undefined) return commit;
  throw new ToolError("refused", `${JSON.stringify(expression)} names no commit`, {
    hint: "See the commits with: git log --oneline",
  });
}

async function submittedSince(
  dataset: Dataset,
  open: readonly RecordedJob[],
  since: string,
): Promise<RecordedJob[]> {
  const base = await requireCommit(dataset, since);
  const commits = await recordedCommits(dataset.root, dataset.head, base);
  const later = new Set(commits.map(({ commit }) => commit));
  return open.filter(({ commit }) => later.has(commit));
}

/**
 * A number is a job id where an open job has it, else perhaps the beginning of a commit. A job's token
 * names it alone: of two clusters jobs may have one id.
 */
async function findOpen(
  dataset: Dataset,
  open: readonly RecordedJob[],
  target: string,
): Promise<RecordedJob[]> {
  const byId = open.filter(({ jobId }) => jobId === target);
  const named = byId.length > 0 ? byId : open.filter((job) => jobKeyOf(job) === target);
  if (named.length > 0) return named;
  const commit = await resolveCommit(dataset.repository, target);
  return open.filter((job) => job.commit === commit);
}

/** Says why a target is not among the open jobs. */
async function whyNotOpen(dataset: Dataset, target: string): Promise<Explanation> {
  const history = await readHistory(dataset);
  const commit = await resolveCommit(dataset.repository, target);
  const named = commit === undefined
    ? history.jobs.filter((job) => job.jobId === target || jobKeyOf(job) === target)
    : history.jobs.filter((job) => job.commit === commit);
  const damaged = history.unreadable.find((record) => record.commit === commit);
  if (damaged !== undefined) return { reason: damaged.reason };
  const [job] = named;
  if (job !== undefined) {
    const finish = finishesIn(history.jobs)(job);
    if (job.kind === "part" && finish === undefined) {
      return {
        reason: `Commit ${job.commit.slice(0, 10)} finishes tasks of job ${job.jobId}, ` +
          "which is open: name the job by its id",
      };
    }
    return {
      reason: finish === undefined
        ? `Job ${job.jobId} was submitted, but not after the commit given with --since`
        : `Job ${job.jobId} is finished already, in commit ${finish.commit.slice(0, 10)}`,
    };
  }
  return await whyNotInHistory(dataset, target, commit);
}

/** Returns the commit that holds a job's results; the job's own where it is one. */
export type FinishOf = (job: RecordedJob) => RecordedJob | undefined;

/**
 * Returns what finds the finish of any job in a history, without a search through it for each: of
 * several that would do, the first one.
 */
export function finishesIn(history: readonly RecordedJob[]): FinishOf {
  const first = new Map<string, number>();
  const note = (name: string, index: number) => {
    if (!first.has(name)) first.set(name, index);
  };
  for (const [index, finish] of history.entries()) {
    if (finish.kind !== "finish") continue;
    const part = finish.record.datalad_slurm;
    note(jobKeyOf(finish), index);
    if (part?.schedule_commit !== undefined) note(`schedule:${part.schedule_commit}`, index);
    // Records of the extension name the job only.
    if (part === undefined) note(`id:${finish.jobId}`, index);
  }
  return (job) => {
    if (job.kind === "finish" || job.kind === "run") return job;
    const names = [jobKeyOf(job), `schedule:${job.commit}`, `id:${job.jobId}`];
    const found = names.flatMap((name) => first.get(name) ?? []);
    return history[Math.min(...found)];
  };
}

/** Says why the history of HEAD has no job by a name, which may be that of a commit. */
export async function whyNotInHistory(
  dataset: Dataset,
  target: string,
  commit: string | undefined,
): Promise<Explanation> {
  if (commit !== undefined && await isAncestor(dataset.root, commit, dataset.head)) {
    return { reason: `Commit ${commit.slice(0, 10)} records no job` };
  }
  // All branches and remotes: the job may have been scheduled elsewhere.
  const { jobs } = await readHistory(dataset, "--all");
  const job = jobs.find((other) =>
    other.commit === commit || other.jobId === target || jobKeyOf(other) === target
  );
  if (job !== undefined) {
    return {
      reason: `Job ${job.jobId} belongs to another branch: its commit ` +
        `${job.commit.slice(0, 10)} is not in the history of HEAD`,
    };
  }
  if (commit !== undefined) {
    return { reason: `Commit ${commit.slice(0, 10)} is not in the history of HEAD` };
  }
  return await explainUnknown(dataset, target);
}
