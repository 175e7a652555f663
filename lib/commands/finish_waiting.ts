import { openDataset } from "../dataset/dataset.ts";
import { jobKeyOf } from "../dataset/history.ts";
import { neverStarts } from "../slurm/report.ts";
import type { JobPhase } from "../slurm/states.ts";
import {
  finish,
  type FinishedJob,
  type FinishOptions,
  type FinishResult,
  jobsInHistory,
} from "./finish.ts";
import type { LockPatience } from "./locked.ts";
import { isOwnJob } from "./own_job.ts";
import { Expectation, Poll, type Polling } from "./polling.ts";
import type { ChosenJobs } from "./select_jobs.ts";

/** Who is told how waiting goes. */
export interface WaitingWatcher {
  /** What became of jobs, as soon as that is settled; at the end of those too that are not over. */
  readonly settled: (result: FinishResult) => void;
  /** What is being waited for. */
  readonly waiting: (jobs: readonly FinishedJob[]) => void;
}

/**
 * Finishes jobs as they end, until none is pending or running any more or the time is over; each is
 * asked for from the beginning on, later ones are not waited for. Between two looks nothing is held
 * that another process could wait for.
 */
export async function finishWaiting(
  options: FinishOptions,
  polling: Polling,
  patience: LockPatience,
  watcher: WaitingWatcher,
): Promise<void> {
  const poll = new Poll(polling);
  const expectation = new Expectation();
  let left: readonly FinishedJob[] = [];
  let chosen: ChosenJobs | undefined;
  for (;;) {
    const result = await finish({ ...options, chosen }, patience);
    const jobs = [
      // Nobody has asked for the job that this is called in, unless it is named.
      ...result.jobs.filter(({ job }) => options.targets.length > 0 || !isOwnJob(job)),
      ...await goneSince(result.root, left, result.jobs),
    ];
    const waiting = waitedFor(jobs, expectation);
    const isWaiting = (job: FinishedJob) => waiting.has(jobKeyOf(job.job));
    // Of an array that is waited for only what was committed is settled.
    left = jobs.filter((job) => isWaiting(job) && job.commit === undefined);
    const settled = jobs.filter((job) => !isWaiting(job) || job.commit !== undefined);
    watcher.settled({ ...result, jobs: settled });
    if (left.length === 0) return;
    watcher.waiting(left);
    if (!await poll.next()) {
      return watcher.settled({ ...result, jobs: left, notOpen: [], unreadable: [] });
    }
    const tasks = result.tasks;
    chosen = new Map([...waiting].map((key) => [key, tasks.get(key)]));
  }
}

/** Returns the keys of the jobs that are not over, in all their tasks. */
function waitedFor(jobs: readonly FinishedJob[], expectation: Expectation): Set<string> {
  const phases = new Map<string, JobPhase>();
  for (const { job, report, outcome } of jobs) {
    if (isOwnJob(job)) continue;
    // Nobody waits for what cannot start.
    const phase = outcome === "live" && report !== undefined && !neverStarts(report)
      ? report.phase
      : outcome === "unknown"
      ? "unknown"
      : undefined;
    // A live task outweighs one of which nothing is known.
    if (phase !== undefined && phases.get(jobKeyOf(job)) !== "running") {
      phases.set(jobKeyOf(job), phase === "unknown" ? phase : "running");
    }
  }
  return new Set(
    [...phases].filter(([key, phase]) => expectation.isWorthwhile(key, phase)).map(([key]) => key),
  );
}

/**
 * Returns jobs that were waited for and are open no more: others have finished them, or they are not in
 * the history that is checked out now.
 */
async function goneSince(
  root: string,
  before: readonly FinishedJob[],
  now: readonly FinishedJob[],
): Promise<FinishedJob[]> {
  const present = new Set(now.map(({ job }) => jobKeyOf(job)));
  const gone = new Map(before.map(({ job }) => [jobKeyOf(job), job]));
  for (const key of present) gone.delete(key);
  if (gone.size === 0) return [];
  const history = await jobsInHistory(await openDataset(root));
  return [...gone].map(([key, job]) => ({
    job,
    report: undefined,
    outcome: history.has(key) ? "settled" : "not in history",
  }));
}
