import type { FinisherStatus } from "../commands/auto_finish.ts";
import type { LeftBehind } from "../commands/left_behind.ts";
import { finishedTasks, type RecordedJob } from "../dataset/history.ts";
import { firstOf } from "../errors.ts";
import { harmless } from "../record/show.ts";
import { stateWord } from "../record/subject.ts";
import { type JobReport, neverStarts } from "../slurm/report.ts";
import { IndexSet } from "../slurm/array.ts";
import { programFor } from "../slurm/local/place.ts";
import { isLive } from "../slurm/states.ts";
import type { Terminal } from "./terminal.ts";
import { readableTime } from "./times.ts";

/**
 * Returns a job's state as people read it: `Pending (BeginTime, requeued after NODE_FAIL)`,
 * `Failed (exit code 3)`. Slurm's reason stands there for live jobs: that of a failed one depends
 * on whom one asks. Why a state is unknown is too long here: see {@link unknownBecause}.
 */
export function stateText(report: JobReport): string {
  return `${stateWord(report.state)}${stateDetails(report)}`;
}

/** Returns how many tasks of an array are in which state: `3 of 4 Complete`; none for other jobs. */
export function taskCounts(job: RecordedJob, { tasks }: JobReport): string[] {
  if (tasks === undefined) return [];
  const finished = finishedTasks(job).size;
  const all = tasks.reduce((sum, { count }) => sum + count, finished);
  const counts = tasks.map(({ state, count }) => `${count} of ${all} ${stateWord(state)}`);
  return finished === 0 ? counts : [...counts, `${finished} finished`];
}

/**
 * Returns what stands behind the word for a state: ` (exit code 3)`, or nothing; of an array the
 * {@link taskCounts} as well, where they are given.
 */
export function stateDetails(report: JobReport, counts: readonly string[] = []): string {
  const details = [
    ...counts,
    isLive(report.phase) ? report.reason : undefined,
    report.requeuedAfter === undefined
      ? undefined
      : report.requeuedAfter === "REQUEUED"
      ? "requeued"
      : `requeued after ${report.requeuedAfter}`,
    exitText(report),
  ].filter((detail) => detail !== undefined);
  return details.length === 0 ? "" : ` (${harmless(details.join(", "))})`;
}

/** What slurmd gives for a log file that it cannot open (`0:53`). */
const NO_LOG_SIGNAL = 53;

function exitText({ phase, exitCode, signal }: JobReport): string | undefined {
  if (phase !== "failed") return undefined;
  if (signal === NO_LOG_SIGNAL) {
    return "signal 53: Slurm could not open its log file; is the directory there?";
  }
  return endingInWords(exitCode, signal);
}

/** Linux has no signal above; Slurm writes 0:125 for a job that ran out of memory. */
const LAST_SIGNAL = 64;

/** Returns how a job or task has ended: `signal 9`, `exit code 3`; undefined when neither is known. */
export function endingInWords(
  exitCode: number | undefined,
  signal: number | undefined,
): string | undefined {
  if (signal !== undefined && signal > 0 && signal <= LAST_SIGNAL) return `signal ${signal}`;
  return exitCode === undefined || exitCode === 0 ? undefined : `exit code ${exitCode}`;
}

/** Says where the results of a job are that `finish --branches` has committed. */
export function onBranch(branch: string): string {
  return `on branch ${branchName(branch)}`;
}

/** Says how the results on branches get into this one. */
export function mergeHint(branches: readonly string[]): string {
  const named = branches.slice(0, 5).map(branchName).join(" ");
  return branches.length === 1
    ? `git merge ${named} takes its results in`
    : `git merge ${named}${branches.length > 5 ? " …" : ""} takes their results in`;
}

function branchName(ref: string): string {
  return ref.replace("refs/heads/", "");
}

/** Says how failed jobs that are open are finished. */
export const ON_FAILED_JOBS = "--commit-failed-jobs commits what failed jobs left, " +
  "--close-failed-jobs records them without outputs";

/** What `--close-failed-jobs` makes of a job, or of tasks of an array. */
export const CLOSED = "closed without outputs";

/** Says which tasks of an array are closed: `task 2 closed without outputs`, `3 tasks …`. */
export function closedInWords(tasks: string): string {
  const { size } = IndexSet.of(tasks);
  return `${size === 1 ? `task ${tasks}` : `${size} tasks`} ${CLOSED}`;
}

/** Says what a user may do about a live job that will not go on by itself. */
export function hintOnLiveJob(report: JobReport): string | undefined {
  const { jobId, state, cluster } = report;
  const toCancel = () => `${harmless(programFor(cluster, "scancel"))} ${jobId}`;
  if (neverStarts(report)) {
    return `Job ${jobId} waits for ever, since a job that it depends on did not end as it should. ` +
      `Cancel it with: ${toCancel()}`;
  }
  if (state === "SPECIAL_EXIT" || state === "REQUEUE_HOLD") {
    return `Slurm has requeued job ${jobId} and holds it. Let it run again with: ` +
      `${
        harmless(programFor(cluster, "scontrol"))
      } release ${jobId}; or cancel it with: ${toCancel()}`;
  }
  return undefined;
}

/** Returns, in lines, why a job's state is not known, and what the job has left. */
export function unknownBecause(
  report: JobReport | undefined,
  left: LeftBehind | undefined,
  terminal: Pick<Terminal, "isTerminal">,
): string[] {
  const reason = report?.reason ?? "Slurm gave no answer";
  return [reason, ...(left === undefined ? [] : leftText(left, terminal))].map(harmless);
}

function leftText(left: LeftBehind, terminal: Pick<Terminal, "isTerminal">): string[] {
  const list = (paths: readonly string[]) =>
    firstOf(paths.map((path) => JSON.stringify(path)), MOST_PATHS);
  const lines: string[] = [];
  if (left.log === undefined || left.logWritten === undefined) lines.push("It left no log");
  else {
    const when = readableTime(left.logWritten, terminal);
    lines.push(`Its log ${JSON.stringify(left.log)} was last written ${when}`);
  }
  if (left.lastWords !== undefined) lines.push(`Slurm's last words there: ${left.lastWords}`);
  if (left.there.length > 0) lines.push(`These outputs are there: ${list(left.there)}`);
  if (left.notThere.length > 0) lines.push(`These outputs are not there: ${list(left.notThere)}`);
  return lines;
}

const MOST_PATHS = 5;

/** Returns what a job has left, for programs; times in UTC. */
export function leftAsJson(left: LeftBehind) {
  return {
    log: left.log,
    log_written: left.logWritten?.toISOString(),
    last_words: left.lastWords,
    outputs_there: [...left.there],
    outputs_not_there: [...left.notThere],
  };
}

/** Returns how the finishing job of a job is doing, for programs. */
export function finisherAsJson({ jobId, report, log, problem }: FinisherStatus) {
  return { slurm_job_id: jobId, state: report?.state, log, message: problem };
}
