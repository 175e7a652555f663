import { cloneId, type Dataset, refuseAdjustedBranch } from "../dataset/dataset.ts";
import { outputPaths } from "../dataset/paths.ts";
import { reservedPath } from "../dataset/task_paths.ts";
import { ToolError } from "../errors.ts";
import { removeAutoFinish } from "../store/auto_finish.ts";
import { findHolders } from "../store/reservations.ts";
import { jobKeyOf, readHistory, type RecordedJob } from "../dataset/history.ts";
import { requireAnnex } from "../git/annexed.ts";
import { requireIdentity } from "../git/identity.ts";
import { isWithin } from "../paths.ts";
import { jobName } from "../record/subject.ts";
import type { JobAccounting } from "../slurm/account.ts";
import {
  type Accounted,
  accountEndedJobs,
  accountJobs,
  type EndedJob,
  slurmVersions,
} from "../slurm/accounting.ts";
import type { Shortage } from "../slurm/shortage.ts";
import { jobKey, queryJobs } from "../slurm/query.ts";
import type { JobReport } from "../slurm/report.ts";
import { existingRefs, readTip } from "../git/refs.ts";
import { IndexSet } from "../slurm/array.ts";
import { isOver, type JobPhase } from "../slurm/states.ts";
import { allTasks, reportOfOpenTasks, union } from "./array_parts.ts";
import { type AssumedPhase, assumeState } from "./assume_state.ts";
import { changedFiles } from "./changed_files.ts";
import type { CommitLayout } from "./commit_files.ts";
import { withUntrackedLogs } from "./closed_logs.ts";
import { commitResults, jobBranch, type PlannedFinish } from "./commit_results.ts";
import type { FinishNotes } from "./gather_results.ts";
import { type LeftBehind, leftBehind } from "./left_behind.ts";
import { logsBelow, logsThere, type WantedTasks } from "./job_files.ts";
import { queryOf, withRuns } from "./job_query.ts";
import { shortagesOfJob, statesIn } from "./job_shortage.ts";
import type { LockPatience } from "./locked.ts";
import { SeenFiles } from "./log_names.ts";
import { openTakingUp } from "./take_up.ts";
import { type NotOpen, type Selection, selectOpenJobs } from "./select_jobs.ts";

const FEW_JOBS = 50;

/** What `finish` is asked to do. */
export interface FinishOptions extends Selection {
  readonly dataset?: string | undefined;
  readonly message?: string | undefined;
  /** Further outputs of the one job that is named. */
  readonly outputs: readonly string[];
  /**
   * What becomes of jobs that failed: they stay open, are closed without outputs, or with them; as
   * the dataset's setting says when undefined.
   */
  readonly failedJobs: "leave" | "close" | "commit" | undefined;
  /** Also finishes jobs that were submitted from another clone, with the files that are here. */
  readonly otherClones: boolean;
  /** What becomes of named jobs that Slurm does not know the end of. */
  readonly assumedState: AssumedPhase | undefined;
  /** Compares files that are copied back from an alternative directory, byte for byte. */
  readonly verifyCopies: boolean;
  readonly layout: CommitLayout;
  /** Commits the tasks of an array that are over, and keeps it open for the others. */
  readonly arrayTasks: boolean;
}

/** What `finish` did about one job, or about some tasks of an array. */
export interface FinishedJob {
  readonly job: RecordedJob;
  readonly report: JobReport | undefined;
  /** The tasks of an array, in Slurm's notation, where not all of it is meant. */
  readonly tasks?: string;
  /** Those of the tasks that were closed without their outputs, where the others were committed. */
  readonly closedTasks?: string;
  /** Whether nothing of the job is open any more. */
  readonly isLast?: boolean;
  /**
   * `finished` and `closed` jobs have a commit now; the others are left open: because they are not
   * over (`live`), have failed, have files that could not be added, are not known to Slurm, belong
   * to another clone, or were finished on a branch that is not merged yet. `settled` jobs were
   * finished by another process meanwhile; the schedule commit of those that are `not in history`
   * was taken off the branch meanwhile.
   */
  readonly outcome:
    | "finished"
    | "closed"
    | "live"
    | "failed"
    | "not added"
    | "unknown"
    | "elsewhere"
    | "on a branch"
    | "settled"
    | "not in history";
  readonly commit?: string;
  /** The branch of its own that the commit is on, where it is not merged into this one. */
  readonly branch?: string;
  readonly notes?: FinishNotes;
  /** What a job that failed had too little of. */
  readonly shortages?: readonly Shortage[];
  /** What a job whose state is not known has left. */
  readonly left?: LeftBehind;
  /**
   * Of a job that failed and is left open: its log files that are there, or those of its tasks. Of
   * one that was closed, or of tasks that were: those that stay, untracked. Relative to the root, or
   * absolute where the job ran outside the dataset.
   */
  readonly logs?: readonly string[];
}

/** What `finish` has to tell. */
export interface FinishResult {
  /** The root of the dataset. */
  readonly root: string;
  readonly jobs: readonly FinishedJob[];
  /** The array tasks that were meant, by job key, of jobs of which not all were. */
  readonly tasks: ReadonlyMap<string, IndexSet>;
  /** Targets that name no open job, with the reason. */
  readonly notOpen: readonly NotOpen[];
  readonly unreadable: readonly string[];
}

/**
 * Finishes jobs: asks Slurm once for all of them and makes one commit for each that is complete,
 * with its outputs, its logs and what Slurm knew of it.
 */
export async function finish(
  options: FinishOptions,
  patience: LockPatience,
): Promise<FinishResult> {
  const dataset = await openTakingUp(options.dataset, patience);
  if (options.assumedState !== undefined && options.targets.length === 0) {
    throw new ToolError("usage", "A state can be assumed of jobs that are named only", {
      hint: "Name the jobs as well: finish --assume-state completed JOBID",
    });
  }
  const { jobs, tasks, notOpen, open, unreadable } = await selectOpenJobs(dataset, options);
  const here = new Set(jobsOfThisClone(dataset, jobs, options.otherClones));
  const branches = await existingRefs(
    dataset.repository,
    jobs.map(jobBranch),
  );
  const added = jobs.length === 0 && options.chosen !== undefined
    ? NONE_ADDED
    : addOutputs(dataset, options, jobs);
  const queries = [...here].map(queryOf);
  // sacct takes its time, so of a few jobs the accounting is asked for at the same time.
  // Who waits for jobs has the time, and must not ask twice.
  const early = options.chosen === undefined && queries.length <= FEW_JOBS
    ? accountJobs(queries)
    : undefined;
  const reports = await queryJobs(queries);
  const done: FinishedJob[] = [];
  const decided: Decision[] = [];
  const notArrays: NotOpen[] = [];
  for (const job of jobs) {
    const said = reports.get(jobKey(queryOf(job)));
    const open = said && reportOfOpenTasks(job, said);
    const report = open && options.assumedState !== undefined && here.has(job)
      ? assumeState(open, {
        phase: options.assumedState,
        named: tasks.get(jobKeyOf(job)),
        byTask: options.arrayTasks,
      })
      : open;
    if (branches.has(jobBranch(job))) done.push({ job, report, outcome: "on a branch" });
    else if (!here.has(job)) done.push({ job, report, outcome: "elsewhere" });
    else if (report !== undefined && tasks.has(jobKeyOf(job)) && isNoArray(report)) {
      const target = jobName(job.jobId, `${tasks.get(jobKeyOf(job))}`);
      notArrays.push({ target, reason: `Slurm knows no array tasks of job ${job.jobId}` });
    } else {
      const decision = decide(job, report, tasks.get(jobKeyOf(job)), {
        ...options,
        failedJobs: options.failedJobs ?? dataset.settings.failedJobs,
      });
      if (decision.takes !== undefined) decided.push(decision);
      done.push(...decision.left);
    }
  }
  const without = [...notOpen, ...notArrays];
  const { finishing, left, otherOpenJobs } = await withLogNames(dataset, decided, done, {
    open,
    addedOutputs: added.addedOutputs,
  });
  const seen = new SeenFiles();
  const explained = left.map((item) =>
    item.outcome === "unknown"
      ? { ...item, left: leftBehind(dataset.root, item.job, tasksIn(item, "unknown"), seen) }
      : item.outcome === "failed"
      ? { ...item, logs: logsThere(dataset.root, item.job, tasksIn(item, "failed"), seen) }
      : item
  );
  const told = await withShortages(explained, early);
  if (finishing.length === 0) {
    return { root: dataset.root, jobs: told, tasks, notOpen: without, unreadable };
  }
  refuseAdjustedBranch(dataset);
  refuseParts(options, finishing);
  if (dataset.hasAnnex) requireAnnex(dataset.root);
  await requireIdentity(dataset.root, dataset.configuration);
  const [accounts, versions, changed] = await Promise.all([
    accountEndedJobs(endedJobs(finishing), early),
    slurmVersions(finishing.map(({ job }) => clusterOf(job))),
    changedFiles(dataset, finishing.map(({ job, report }) => ({ job, end: report?.end }))),
  ]);
  const { committed, notAdded } = await commitResults(dataset, {
    jobs: finishing.flatMap(({ job, report, takes }) =>
      report === undefined || takes === undefined ? [] : [{
        job,
        report,
        ...takes,
        ...added,
        verifyCopies: options.verifyCopies,
        accounting: withVersion(accounts.get(jobKey(queryOf(job))), versions.get(clusterOf(job))),
        changed: changed.get(jobKeyOf(job)) ?? [],
      }]
    ),
    otherOpenJobs,
    message: options.message,
    layout: options.layout,
  }, patience);
  const history = committed.size + notAdded.size < finishing.length
    ? await jobsInHistory(dataset)
    : undefined;
  const results = finishing.map(({ job, report }): FinishedJob => {
    const key = jobKeyOf(job);
    const result = committed.get(key);
    const notes = notAdded.get(key);
    if (notes !== undefined) return { job, report, outcome: "not added", notes };
    if (result === undefined) {
      return { job, report, outcome: history?.has(key) === false ? "not in history" : "settled" };
    }
    const { withFiles, ...others } = result;
    if (others.isLast) removeAutoFinish(dataset.store.base, key);
    return {
      job,
      outcome: withFiles ? "finished" : "closed",
      ...others,
      ...(options.layout === "branches" ? { branch: jobBranch(job) } : {}),
      ...shortagesPart({ job, report }, accounts),
    };
  });
  const withLogs = await withUntrackedLogs(dataset, results, otherOpenJobs);
  const all = inOrder(jobs, [...withLogs, ...told]);
  return { root: dataset.root, jobs: all, tasks, notOpen: without, unreadable };
}

/** Gives jobs what the names of their logs depend on, and those that may write among their outputs. */
async function withLogNames(
  dataset: Dataset,
  decided: readonly Decision[],
  done: readonly FinishedJob[],
  { open, addedOutputs }: {
    readonly open: readonly RecordedJob[];
    readonly addedOutputs: readonly string[];
  },
) {
  const taken = new Set(decided.map(({ job }) => job));
  const others = open.filter((job) => !taken.has(job));
  const outputs = [...addedOutputs, ...[...taken].flatMap(({ record }) => record.outputs)];
  const near = jobsOfThisClone(dataset, others).filter(logsBelow(dataset.root, outputs));
  const named = await withRuns(dataset.root, [
    ...decided,
    ...done.filter(({ outcome }) => outcome === "failed"),
    ...near.map((job) => ({ job })),
  ]);
  return {
    finishing: decided.map((item) => ({ ...item, job: named(item.job) })),
    left: done.map((item) => ({ ...item, job: named(item.job) })),
    otherOpenJobs: others.map(named),
  };
}

/** Returns the tasks of an array in a phase, as far as these are meant; undefined for other jobs. */
export function tasksIn(
  { report, tasks }: Pick<FinishedJob, "report" | "tasks">,
  wanted: JobPhase,
): WantedTasks | undefined {
  if (tasks !== undefined) return { tasks: IndexSet.of(tasks), withShared: true };
  const those = report?.tasks?.filter(({ phase }) => phase === wanted);
  return those && {
    tasks: union(Object.fromEntries(those.map(({ state, indices }) => [state, indices]))),
    withShared: true,
  };
}

/** Adds what failed jobs had too little of; accounting is asked about those that it can help. */
async function withShortages(
  done: readonly FinishedJob[],
  early: Promise<Accounted> | undefined,
): Promise<FinishedJob[]> {
  const failed = done.filter(({ outcome }) => outcome === "failed");
  const short = new Set(failed.filter((item) => "shortages" in shortagesPart(item, new Map())));
  if (short.size === 0) return [...done];
  const { accounts } = await (early ?? accountJobs([...short].map(({ job }) => queryOf(job))));
  return done.map((item) => ({ ...item, ...short.has(item) ? shortagesPart(item, accounts) : {} }));
}

function shortagesPart(
  { job, report }: Pick<FinishedJob, "job" | "report">,
  accounts: ReadonlyMap<string, JobAccounting>,
): Pick<FinishedJob, "shortages"> {
  if (report?.phase !== "failed") return {};
  const accounting = accounts.get(jobKey(queryOf(job)));
  const submitted = job.record.datalad_slurm?.job;
  const shortages = shortagesOfJob(statesIn(report), accounting, submitted);
  return shortages.length === 0 ? {} : { shortages };
}

/** Returns what was done in the order of the jobs. */
function inOrder(jobs: readonly RecordedJob[], done: readonly FinishedJob[]): FinishedJob[] {
  const byJob = Map.groupBy(done, ({ job }) => jobKeyOf(job));
  return jobs.flatMap((job) => byJob.get(jobKeyOf(job)) ?? []);
}

/** What is to be done about one job: what of it is committed, and what is left open, and why. */
interface Decision {
  readonly job: RecordedJob;
  readonly report: JobReport | undefined;
  readonly takes?: Pick<PlannedFinish, "withFiles" | "part">;
  readonly left: readonly FinishedJob[];
}

/** Whether Slurm knows a job, and no tasks of it. */
function isNoArray({ phase, tasks }: JobReport): boolean {
  return tasks === undefined && phase !== "unknown";
}

/** Decides by what Slurm says of the tasks that are open, or of the job if it is no array. */
function decide(
  job: RecordedJob,
  report: JobReport | undefined,
  named: IndexSet | undefined,
  { arrayTasks, failedJobs }: FinishOptions,
): Decision {
  if (report?.tasks === undefined || !arrayTasks && named === undefined) {
    const outcome = judge(report?.phase, failedJobs);
    if (outcome !== "finished" && outcome !== "closed") {
      return { job, report, left: [{ job, report, outcome }] };
    }
    return { job, report, takes: { withFiles: outcome === "finished" }, left: [] };
  }
  const closed = new IndexSet();
  const states: Record<string, string> = {};
  const left: FinishedJob[] = [];
  for (const { state, phase, indices } of report.tasks) {
    const tasks = named === undefined ? IndexSet.of(indices) : IndexSet.of(indices).within(named);
    if (tasks.size === 0) continue;
    const outcome = judge(phase, failedJobs);
    if (outcome === "closed") closed.addAll(tasks);
    if (outcome === "closed" || outcome === "finished") states[state] = `${tasks}`;
    else {
      const { reason, assumed: _, assumedTasks, ...others } = report;
      // A reason is that of the tasks whose state is the whole array's.
      const why = phase === report.phase && reason !== undefined ? { reason } : {};
      const word = IndexSet.of(assumedTasks).within(tasks).size > 0 ? { assumed: true } : {};
      const own = { ...others, state, phase, ...why, ...word };
      left.push({ job, report: own, tasks: `${tasks}`, outcome });
    }
  }
  // Nothing to commit and nothing left: what parts of several branches have finished together.
  if (Object.keys(states).length === 0 && left.length > 0) return { job, report, left };
  const part = { states, closed, all: allTasks(job, report) };
  return { job, report, takes: { withFiles: union(states).size > closed.size, part }, left };
}

/** Throws where parts of arrays are asked for in a way that has no place for them. */
function refuseParts({ layout, outputs }: FinishOptions, finishing: readonly Decision[]): void {
  const part = finishing.find(({ job, takes }) =>
    takes?.part !== undefined || job.finished !== undefined
  );
  if (part === undefined) return;
  if (layout !== "linear") {
    throw new ToolError("refused", `Job ${part.job.jobId} is finished in parts, on this branch`, {
      hint: "Leave out --branches and --octopus",
    });
  }
  if (outputs.length > 0) {
    throw new ToolError("refused", "Outputs cannot be added to a part of an array", {
      hint: "Finish the array as a whole, without --array-tasks",
    });
  }
}

/** Returns the keys of all jobs in the history of the branch as it is now. */
export async function jobsInHistory(dataset: Dataset): Promise<Set<string>> {
  const { commit } = await readTip(dataset.repository);
  return new Set((await readHistory(dataset, commit)).jobs.map(jobKeyOf));
}

type AddedOutputs = Pick<PlannedFinish, "addedOutputs" | "heldByOthers">;

const NONE_ADDED: AddedOutputs = { addedOutputs: [], heldByOthers: [] };

/**
 * Returns the outputs that are declared at the finish; throws when it is not clear whose. What other
 * open jobs hold must not be named, but a glob may match it: it is left out.
 */
function addOutputs(
  dataset: Dataset,
  { outputs, targets }: FinishOptions,
  jobs: readonly RecordedJob[],
): AddedOutputs {
  if (outputs.length === 0) return NONE_ADDED;
  const [job, ...others] = jobs;
  if (targets.length !== 1 || job === undefined || others.length > 0) {
    throw new ToolError("usage", "Outputs can be added to one job only", {
      hint: "Name the job as well: finish -o PATH JOBID",
    });
  }
  const named = outputs.flatMap((path) =>
    outputPaths(dataset.root, dataset.pwd, path, "The output")
  );
  const paths = [...new Set(named)];
  const heldByOthers: string[] = [];
  for (const path of paths) {
    const place = reservedPath(path);
    for (const { held, token } of findHolders(dataset.store.reservations, place)) {
      if (token === jobKeyOf(job)) continue;
      if (place === path || isWithin(place, held)) {
        throw new ToolError(
          "refused",
          `The output ${JSON.stringify(path)} is held by another open job, by its output ` +
            JSON.stringify(held),
          { hint: "See the open jobs with: datalad-slurm status" },
        );
      }
      heldByOthers.push(held);
    }
  }
  return { addedOutputs: paths, heldByOthers };
}

/**
 * Returns the jobs whose files are in this work tree. Records of the DataLad extension do not say
 * where they come from and count as ours.
 */
export function jobsOfThisClone(
  dataset: Dataset,
  jobs: readonly RecordedJob[],
  otherClones = false,
): readonly RecordedJob[] {
  if (otherClones) return jobs;
  const clone = cloneId(dataset);
  return jobs.filter(({ record: { datalad_slurm: origin } }) =>
    origin?.clone === undefined ||
    origin.clone === clone && origin.worktree === dataset.repository.worktree
  );
}

/** Returns the questions about jobs that are over altogether: no part of an array has accounting. */
function endedJobs(finishing: readonly Decision[]): EndedJob[] {
  return finishing.flatMap(({ job, report }) =>
    report !== undefined && isOver(report.phase) ? [{ query: queryOf(job), report }] : []
  );
}

function clusterOf({ record }: RecordedJob): string | undefined {
  return record.datalad_slurm?.cluster;
}

function withVersion(
  accounting: JobAccounting | undefined,
  version: string | undefined,
): JobAccounting | undefined {
  const all = { ...accounting, ...(version === undefined ? {} : { slurm_version: version }) };
  return Object.keys(all).length === 0 ? undefined : all;
}

function judge(
  phase: JobPhase | undefined,
  failedJobs: FinishOptions["failedJobs"],
): FinishedJob["outcome"] {
  switch (phase) {
    case "completed":
      return "finished";
    case "failed":
      if (failedJobs === "leave") return "failed";
      return failedJobs === "close" ? "closed" : "finished";
    case "pending":
    case "running":
      return "live";
    default:
      return "unknown";
  }
}
