import { type Dataset, openDataset } from "../dataset/dataset.ts";
import { isSubmission, jobKeyOf, readHistory, type RecordedJob } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { existingRefs, resolveCommit } from "../git/refs.ts";
import type { JobRecord } from "../record/schema.ts";
import { type JobAccounting, readAccounting } from "../slurm/account.ts";
import { IndexSet } from "../slurm/array.ts";
import { accountJobs } from "../slurm/accounting.ts";
import { jobKey, queryJobs } from "../slurm/query.ts";
import type { JobReport } from "../slurm/report.ts";
import type { Shortage } from "../slurm/shortage.ts";
import { isOver } from "../slurm/states.ts";
import { finisherQuery, type FinisherStatus, finisherStatus } from "./auto_finish.ts";
import { type ChangedFile, changedFiles } from "./changed_files.ts";
import { jobBranch } from "./commit_results.ts";
import { jobsOfThisClone } from "./finish.ts";
import { queryOf, withRuns } from "./job_query.ts";
import { isEnvironment, logsThere } from "./job_files.ts";
import { shortagesOfJob, statesIn } from "./job_shortage.ts";
import { finishesIn } from "./select_jobs.ts";
import { explainUnknown } from "./unknown_job.ts";

/** What `show` is asked about. */
export interface ShowOptions {
  readonly dataset?: string | undefined;
  /** A commit of a job, or a job id. */
  readonly target: string;
}

/** A job's files besides its outputs, and what became of these; relative to the root. */
export interface JobFileLists {
  readonly logs: readonly string[];
  /** The file with what Slurm knew of the job; empty as long as there is none. */
  readonly environment: readonly string[];
  readonly missing: readonly string[];
  readonly ignored: readonly string[];
  readonly deleted: readonly string[];
}

/** All that is known of one recorded job. */
export interface JobDetails {
  readonly root: string;
  readonly jobId: string;
  /** The commit that records the submission; absent where this history has none. */
  readonly submission: RecordedJob | undefined;
  /** Commits of some of an array's tasks, oldest first. */
  readonly parts: readonly RecordedJob[];
  /** The commit that records the end; a `run` of an older form is both. */
  readonly finish: RecordedJob | undefined;
  /** The newest of the records. */
  readonly record: JobRecord;
  /** What its commits have of its files; of an open job the logs that are there. */
  readonly files: JobFileLists;
  /** The tasks of an array that were closed without their outputs; empty for none. */
  readonly closedTasks: string;
  /** Slurm's word, or that of an older form of record; undefined for a job of another clone. */
  readonly state: string | undefined;
  /** What Slurm says of an open job of this clone. */
  readonly report: JobReport | undefined;
  readonly accounting: JobAccounting | undefined;
  /** The job that is to finish it, of an open job of this clone with --auto-finish. */
  readonly finisher: FinisherStatus | undefined;
  /** The branch that holds the results of an open job, where that is not merged yet. */
  readonly branch: string | undefined;
  /** What is not as it was submitted; undefined where nothing can be compared. */
  readonly changed: readonly ChangedFile[] | undefined;
  /** The commits that the job descends from, oldest first. */
  readonly chain: readonly { readonly commit: string; readonly jobId: string | undefined }[];
  readonly shortages: readonly Shortage[];
  /** Submissions of other jobs that had the same id. */
  readonly namesakes: readonly RecordedJob[];
}

/**
 * Returns what is known of a recorded job. A finished one is told from history alone; of an open one
 * Slurm is asked. Throws a {@link ToolError} when the target names no recorded job.
 */
export async function show({ dataset: directory, target }: ShowOptions): Promise<JobDetails> {
  const dataset = await openDataset(directory);
  const { job, history } = await find(dataset, target);
  const submission = isSubmission(job) ? job : submissionOf(history, job);
  const finish = finishesIn(history)(submission ?? job);
  const parts = history.filter((other) =>
    other.kind === "part" && jobKeyOf(other) === jobKeyOf(job)
  );
  const commits = finish === undefined ? parts : [...parts, finish];
  const { record } = finish ?? submission ?? job;
  const here = jobsOfThisClone(dataset, [submission ?? job]).length > 0;
  const open = finish === undefined && submission !== undefined && here ? submission : undefined;
  const [asked, changed, named] = await Promise.all([
    open === undefined ? undefined : ask(dataset, open),
    here ? compare(dataset, submission ?? job) : undefined,
    withRuns(dataset.root, open === undefined ? [] : [{ job: open }]),
  ]);
  const branch = jobBranch(job);
  const branches = finish === undefined
    ? await existingRefs(dataset.repository, [branch])
    : new Set<string>();
  const accounting = asked?.accounting ?? readAccounting(record.datalad_slurm?.accounting);
  const state = asked?.report?.state ?? record.datalad_slurm?.state ?? finish?.state;
  const states = asked?.report === undefined
    ? [
      state ?? "",
      ...commits.flatMap((one) => Object.keys(one.record.datalad_slurm?.task_states ?? {})),
      ...Object.values(accounting?.components ?? {}).map((one) => one.state ?? ""),
    ]
    : statesIn(asked.report);
  return {
    root: dataset.root,
    jobId: job.jobId,
    submission,
    parts,
    finish,
    record,
    files: filesOf(
      dataset,
      open && named(open),
      commits.length > 0 ? commits : [submission ?? job],
    ),
    closedTasks: `${closedTasks(commits)}`,
    state,
    report: asked?.report,
    accounting,
    finisher: asked?.finisher,
    branch: branches.has(branch) ? branch : undefined,
    changed,
    chain: record.chain.map((commit) => ({
      commit,
      jobId: history.find((other) => other.commit === commit)?.jobId,
    })),
    shortages: shortagesOfJob(states, accounting, record.datalad_slurm?.job),
    namesakes: history.filter((other) =>
      isSubmission(other) && other.jobId === job.jobId && jobKeyOf(other) !== jobKeyOf(job) &&
      other !== submission
    ),
  };
}

/** Returns the files that the commits of a job name, and what an open one has left so far. */
function filesOf(
  { root }: Dataset,
  open: RecordedJob | undefined,
  commits: readonly RecordedJob[],
): JobFileLists {
  const named = commits.flatMap(({ record }) => record.slurm_run_outputs ?? []);
  const list = (name: "missing" | "ignored" | "deleted") => [
    ...new Set(commits.flatMap(({ record }) => record.datalad_slurm?.[name] ?? [])),
  ];
  return {
    logs: [
      ...new Set([
        ...named.filter((path) => !isEnvironment(path)),
        ...open === undefined ? [] : logsThere(root, open),
      ]),
    ],
    environment: named.filter(isEnvironment),
    missing: list("missing"),
    ignored: list("ignored"),
    deleted: list("deleted"),
  };
}

/** Returns the tasks that any of the commits of an array has closed. */
function closedTasks(commits: readonly RecordedJob[]): IndexSet {
  return commits.reduce(
    (all, { record }) => all.addAll(IndexSet.of(record.datalad_slurm?.closed_tasks)),
    new IndexSet(),
  );
}

async function ask(
  dataset: Dataset,
  job: RecordedJob,
): Promise<Pick<JobDetails, "report" | "accounting" | "finisher">> {
  const query = queryOf(job);
  const finisher = finisherQuery(dataset, job);
  const [reports, { accounts }] = await Promise.all([
    queryJobs(finisher === undefined ? [query] : [query, finisher]),
    accountJobs([query]),
  ]);
  const report = reports.get(jobKey(query));
  const accounting = accounts.get(jobKey(query));
  return {
    report,
    accounting: report === undefined || isOver(report.phase) ? accounting : withoutEnd(accounting),
    finisher: finisherStatus(dataset, job, report, reports),
  };
}

/** Of an array that is not over accounting has the end of the last task that is. */
function withoutEnd(accounting: JobAccounting | undefined): JobAccounting | undefined {
  if (accounting === undefined) return undefined;
  const { end: _end, ...rest } = accounting;
  return rest;
}

/** Compares a job's script and inputs with what was submitted; undefined where nothing is pinned. */
async function compare(dataset: Dataset, job: RecordedJob): Promise<ChangedFile[] | undefined> {
  const { script, inputs } = job.record.datalad_slurm ?? {};
  if (script === undefined && inputs === undefined) return undefined;
  return (await changedFiles(dataset, [{ job }])).get(jobKeyOf(job)) ?? [];
}

/** Finds a job by its id, the newest of that id, or by one of its commits, on HEAD or elsewhere. */
async function find(
  dataset: Dataset,
  target: string,
): Promise<{ job: RecordedJob; history: readonly RecordedJob[] }> {
  const commit = await resolveCommit(dataset.repository, target);
  const jobId = /^(\d+)(?:_(?:\d+|\[[\d,-]+\]))?$/.exec(target)?.[1];
  for (const tip of [dataset.head, "--all"]) {
    const { jobs, unreadable } = await readHistory(dataset, tip);
    const job = jobs.findLast((other) => isSubmission(other) && other.jobId === jobId) ??
      jobs.findLast((other) => other.jobId === jobId) ??
      jobs.find((other) => other.commit === commit);
    if (job !== undefined) return { job, history: jobs };
    const damaged = unreadable.find((other) => other.commit === commit);
    if (damaged !== undefined) throw new ToolError("refused", damaged.reason);
  }
  if (commit !== undefined) {
    throw new ToolError("refused", `Commit ${commit.slice(0, 10)} records no job`, {
      hint: "See the recorded jobs with: datalad-slurm log",
    });
  }
  const { reason, hint } = await explainUnknown(dataset, target);
  throw new ToolError("refused", reason, { hint });
}

/** Returns the submission that a commit of results answers. */
function submissionOf(
  history: readonly RecordedJob[],
  results: RecordedJob,
): RecordedJob | undefined {
  const { schedule_commit, token } = results.record.datalad_slurm ?? {};
  const finishOf = finishesIn(history);
  return history.find((job) =>
    isSubmission(job) && job.kind !== "run" &&
    (job.commit === schedule_commit || token !== undefined && jobKeyOf(job) === token)
  ) ?? history.find((job) =>
    isSubmission(job) && job.kind !== "run" && finishOf(job)?.commit === results.commit
  );
}
