import {
  finish,
  type FinishedJob,
  type FinishOptions,
  type FinishResult,
} from "../commands/finish.ts";
import { finishWaiting } from "../commands/finish_waiting.ts";
import { ToolError } from "../errors.ts";
import { harmless } from "../record/show.ts";
import { stateWord } from "../record/subject.ts";
import { neverStarts } from "../slurm/report.ts";
import type { ParsedArguments } from "./arguments.ts";
import { type Command, DATASET, LOCK_TIMEOUT, MESSAGE, patienceOf, SINCE } from "./command.ts";
import { EXIT } from "./exit.ts";
import { aboutDataset } from "./json/about.ts";
import type { FinishedRecord } from "./json/records.ts";
import { showFinished } from "./finished_jobs.ts";
import { showNotOpen, showStatus } from "./status.ts";
import { allInWords } from "./shortage.ts";
import { showUntrackedLogs } from "./untracked_logs.ts";
import { TIMEOUT, timeoutOf } from "./waiting.ts";
import { hintOnLiveJob, leftAsJson } from "./job_state.ts";

export const finishCommand: Command = {
  name: "finish",
  aliases: ["slurm-finish"],
  summary: "Commit the results of jobs that are over",
  usage: "[COMMIT|JOBID|JOBID_TASKS …]",
  description: [
    "Asks Slurm about the named jobs, or about all open jobs, and makes one commit for each that " +
    "is complete: its declared outputs, its log files, and what Slurm knew of it " +
    "(slurm-job-ID.env.json). An array is complete when all its tasks are; tasks that are " +
    "named, such as 516_3 or '516_[0-4,7]', or --array-tasks, are committed before the others.",
    "Jobs that are pending or running are left open; so are failed ones, until " +
    "--close-failed-jobs or --commit-failed-jobs says what to do about them. Nothing else in the " +
    "dataset is touched: what you have staged stays staged.",
  ],
  examples: [
    ["datalad-slurm finish", "finish whatever is complete"],
    ["datalad-slurm finish 9163380", "finish one job"],
    ["datalad-slurm finish --wait --timeout 2h", "finish jobs as they end, for two hours at most"],
    ["datalad-slurm finish --commit-failed-jobs", "commit what failed jobs left as well"],
  ],
  operands: "any",
  options: [
    DATASET,
    SINCE,
    MESSAGE,
    {
      name: "output",
      short: "o",
      value: "PATH",
      repeatable: true,
      help: "A further output of the one job that is named",
    },
    {
      name: "close-failed-jobs",
      help: "Record failed jobs as closed, without their outputs",
    },
    {
      name: "array-tasks",
      help: "Commit the tasks of arrays that are over, and keep the arrays open for the others; " +
        "--close-failed-jobs and --commit-failed-jobs count for each task then",
    },
    { name: "commit-failed-jobs", help: "Commit failed jobs with the outputs they left" },
    {
      name: "leave-failed-jobs",
      help: "Leave failed jobs open, where datalad-slurm.failed-jobs says otherwise",
    },
    {
      name: "assume-state",
      value: "completed|failed",
      choices: ["completed", "failed"],
      help: "How the named jobs, or tasks of arrays, ended, where Slurm does not know it any more",
    },
    {
      name: "other-clones",
      help: "Also finish jobs that were submitted from another clone, with the files found here",
    },
    {
      name: "verify",
      help: "Compare files copied back from --alt-dir byte for byte, not by size alone",
    },
    {
      name: "branches",
      help: "Commit each job on a branch of its own, job-ID, from where it was scheduled",
    },
    {
      name: "octopus",
      help: "Like --branches, and merge all of them into this branch in one commit",
    },
    {
      name: "wait",
      help: "Wait for the jobs, and commit each as it ends, until none is pending or running",
    },
    TIMEOUT,
    { name: "list-open-jobs", help: "List the open jobs and finish nothing, as `status` does" },
    LOCK_TIMEOUT,
  ],
  async run(words, terminal) {
    if (words.has("list-open-jobs")) return await showStatus("finish", words, terminal);
    const options = finishOptions(words);
    const timeoutMs = timeoutOf(words, "wait");
    const patience = patienceOf("finish", words, terminal);
    const all: FinishedJob[] = [];
    let someNotOpen = false;
    let place = "";
    const show = ({ root, jobs, notOpen, unreadable }: FinishResult) => {
      for (const reason of unreadable) terminal.warn(harmless(reason));
      place = root;
      if (!terminal.json) showFinished(jobs, terminal);
      else for (const job of jobs) terminal.record(asRecord(root, job));
      for (const target of notOpen) showNotOpen(terminal, "finish", root, target);
      for (const job of jobs) all.push(job);
      someNotOpen ||= notOpen.length > 0;
    };
    if (words.has("wait")) {
      await finishWaiting(options, { timeoutMs }, patience, {
        settled: show,
        waiting: (jobs) => terminal.progress(waitingLine(jobs)),
      });
    } else {
      show(await finish(options, patience));
    }
    showUntrackedLogs(place, all, terminal);
    if (all.length === 0 && !someNotOpen) terminal.say("No open jobs");
    return finishExitCode(all, someNotOpen);
  },
};

/** Returns what is waited for: `Waiting for 3 jobs: 2 Running, 1 Pending`. */
function waitingLine(jobs: readonly FinishedJob[]): string {
  const count = new Set(jobs.map(({ job }) => job)).size;
  const states = Map.groupBy(jobs, ({ report }) => stateWord(report?.state ?? "UNKNOWN"));
  const list = [...states].map(([state, group]) => `${group.length} ${state}`).join(", ");
  return `Waiting for ${count} ${count === 1 ? "job" : "jobs"}: ${list}`;
}

/** What may be done with jobs that failed. */
const FAILED_JOBS = ["close", "commit", "leave"] as const;

/** Returns what the words of a command line ask of `finish`. */
export function finishOptions(words: ParsedArguments): FinishOptions {
  const [one, other] = FAILED_JOBS.filter((what) => words.has(`${what}-failed-jobs`));
  if (other !== undefined) {
    throw new ToolError(
      "usage",
      `--${one}-failed-jobs and --${other}-failed-jobs exclude each other`,
    );
  }
  if (words.has("wait") && words.has("octopus")) {
    throw new ToolError("usage", "--octopus makes one commit of all jobs, --wait one of each", {
      hint: "Wait first: datalad-slurm status --watch, then finish --octopus",
    });
  }
  return {
    dataset: words.last("dataset"),
    targets: words.operands,
    since: words.last("since"),
    message: words.last("message"),
    outputs: words.all("output"),
    failedJobs: FAILED_JOBS.find((what) => words.has(`${what}-failed-jobs`)),
    assumedState: words.last("assume-state") as FinishOptions["assumedState"],
    otherClones: words.has("other-clones"),
    verifyCopies: words.has("verify"),
    arrayTasks: words.has("array-tasks"),
    layout: words.has("octopus") ? "octopus" : words.has("branches") ? "branches" : "linear",
  };
}

/** Returns the exit code that stands for what became of the jobs. */
export function finishExitCode(jobs: readonly FinishedJob[], someNotOpen: boolean): number {
  const has = (...outcomes: FinishedJob["outcome"][]) =>
    jobs.some(({ outcome }) => outcomes.includes(outcome));
  if (someNotOpen || has("failed", "not added", "unknown", "not in history")) return EXIT.refused;
  if (jobs.some(({ report }) => report !== undefined && neverStarts(report))) return EXIT.refused;
  return has("live") ? EXIT.pending : EXIT.done;
}

function asRecord(
  root: string,
  { job, tasks, report, outcome, commit, notes, shortages, left, logs }: FinishedJob,
): FinishedRecord {
  return {
    action: "finish",
    status: STATUS[outcome],
    ...aboutDataset(root),
    message: report?.reason,
    outcome,
    slurm_job_id: job.jobId,
    ...(tasks === undefined ? {} : { array_tasks: tasks }),
    schedule_commit: job.commit,
    state: report?.state ?? "UNKNOWN",
    assumed: report?.assumed,
    assumed_tasks: report?.assumedTasks,
    requeued_after: report?.requeuedAfter,
    exit_code: report?.exitCode,
    signal: report?.signal,
    commit,
    hint: shortages === undefined ? report && hintOnLiveJob(report) : allInWords(shortages),
    left_behind: left && leftAsJson(left),
    logs: logs && [...logs],
    notes: notes && {
      missing: notes.missing.map(({ path }) => path),
      ignored: [...notes.ignored],
      deleted: [...notes.deleted],
      changed: notes.changed.map(({ path, isScript, at }) => ({
        path,
        role: isScript ? "script" as const : "input" as const,
        ...(at === undefined ? {} : { changed_at: new Date(at * 1000).toISOString() }),
      })),
      impossible: [...notes.impossible],
      failed: [...notes.failed],
    },
  };
}

const STATUS: Readonly<Record<FinishedJob["outcome"], FinishedRecord["status"]>> = {
  "finished": "ok",
  "closed": "ok",
  "live": "notneeded",
  "settled": "notneeded",
  "on a branch": "notneeded",
  "elsewhere": "impossible",
  "not in history": "impossible",
  "failed": "error",
  "not added": "error",
  "unknown": "error",
};
