import type { Dataset } from "../dataset/dataset.ts";
import { jobKeyOf, readHistory, readOpenJobs, type RecordedJob } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { isAncestor, recordedCommits } from "../git/log.ts";
import { resolveCommit } from "../git/refs.ts";

/** Which jobs a command is about. */
export interface Selection {
  /** Commits or job ids; none for all open jobs. */
  readonly targets: readonly string[];
  /** Only jobs submitted after this commit. */
  readonly since?: string | undefined;
}

/** A target that names no open job, and why. */
export interface NotOpen {
  readonly target: string;
  readonly reason: string;
}

/** The jobs that were found. */
export interface SelectedJobs {
  readonly jobs: readonly RecordedJob[];
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
  const candidates = selection.since === undefined
    ? open
    : await submittedSince(dataset, open, selection.since);
  const complaints = unreadable.map(({ commit, reason }) =>
    reason.includes(commit) ? reason : `Commit ${commit}: ${reason}`
  );
  if (selection.targets.length === 0) {
    return { jobs: candidates, notOpen: [], open, unreadable: complaints };
  }
  const jobs = new Map<string, RecordedJob>();
  const notOpen: NotOpen[] = [];
  for (const target of selection.targets) {
    const found = await findOpen(dataset, candidates, target);
    if (found.length === 0) notOpen.push({ target, reason: await whyNotOpen(dataset, target) });
    for (const job of found) jobs.set(jobKeyOf(job), job);
  }
  return { jobs: [...jobs.values()], notOpen, open, unreadable: complaints };
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
  const { commits } = await recordedCommits(dataset.root, dataset.head, base);
  const later = new Set(commits.map(({ commit }) => commit));
  return open.filter(({ commit }) => later.has(commit));
}

/** A number is a job id where an open job has it, else perhaps the beginning of a commit. */
async function findOpen(
  dataset: Dataset,
  open: readonly RecordedJob[],
  target: string,
): Promise<RecordedJob[]> {
  const byId = open.filter(({ jobId }) => jobId === target);
  if (byId.length > 0) return byId;
  const commit = await resolveCommit(dataset.repository, target);
  return open.filter((job) => job.commit === commit);
}

/** Says why a target is not among the open jobs. */
async function whyNotOpen(dataset: Dataset, target: string): Promise<string> {
  const history = await readHistory(dataset);
  const commit = await resolveCommit(dataset.repository, target);
  const named = commit === undefined
    ? history.jobs.filter(({ jobId }) => jobId === target)
    : history.jobs.filter((job) => job.commit === commit);
  const damaged = history.unreadable.find((record) => record.commit === commit);
  if (damaged !== undefined) return damaged.reason;
  const [job] = named;
  if (job !== undefined) {
    const finish = finishOf(history.jobs, job);
    return finish === undefined
      ? `Job ${job.jobId} was submitted, but not after the commit given with --since`
      : `Job ${job.jobId} is finished already, in commit ${finish.commit.slice(0, 10)}`;
  }
  return await whyNotInHistory(dataset, target, commit);
}

/** Returns the commit that holds a job's results; the job's own where it is one. */
export function finishOf(
  history: readonly RecordedJob[],
  job: RecordedJob,
): RecordedJob | undefined {
  if (job.kind === "finish" || job.kind === "run") return job;
  const key = jobKeyOf(job);
  return history.find((other) =>
    other.kind === "finish" &&
    (jobKeyOf(other) === key || other.record.datalad_slurm?.schedule_commit === job.commit ||
      other.record.datalad_slurm === undefined && other.jobId === job.jobId)
  );
}

async function whyNotInHistory(
  dataset: Dataset,
  target: string,
  commit: string | undefined,
): Promise<string> {
  if (commit !== undefined && await isAncestor(dataset.root, commit, dataset.head)) {
    return `Commit ${commit.slice(0, 10)} records no job`;
  }
  // All branches and remotes: the job may have been scheduled elsewhere.
  const { jobs } = await readHistory(dataset, "--all");
  const job = jobs.find((other) => other.commit === commit || other.jobId === target);
  if (job !== undefined) {
    return `Job ${job.jobId} belongs to another branch: its commit ` +
      `${job.commit.slice(0, 10)} is not in the history of HEAD`;
  }
  if (commit !== undefined) return `Commit ${commit.slice(0, 10)} is not in the history of HEAD`;
  return /^\d+$/.test(target)
    ? `Job ${target} was never scheduled in this dataset`
    : `${JSON.stringify(target)} is neither a commit nor the id of a job of this dataset`;
}
