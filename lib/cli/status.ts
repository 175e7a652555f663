import { type OpenJobStatus, status, type StatusResult } from "../commands/status.ts";
import { ToolError } from "../errors.ts";
import type { NotOpen } from "../commands/select_jobs.ts";
import type { TakenUp } from "../commands/take_up.ts";
import { harmless } from "../record/show.ts";
import type { ParsedArguments } from "./arguments.ts";
import { type Command, DATASET, LOCK_TIMEOUT, patienceOf, SINCE } from "./command.ts";
import { EXIT } from "./exit.ts";
import { aboutDataset } from "./json/about.ts";
import type { OpenJobRecord, OutputRecord } from "./json/records.ts";
import {
  finisherAsJson,
  hintOnLiveJob,
  leftAsJson,
  ON_FAILED_JOBS,
  unknownBecause,
} from "./job_state.ts";
import { fitsScreen, showLong } from "./pager.ts";
import { stateOf, statusSummary, statusTable } from "./status_table.ts";
import type { Terminal } from "./terminal.ts";
import { TIMEOUT, timeoutOf } from "./waiting.ts";
import { watch } from "./watch.ts";

export const statusCommand: Command = {
  name: "status",
  aliases: [],
  summary: "List the open jobs and their states",
  usage: "[COMMIT|JOBID …]",
  description: [
    "Lists the jobs that were scheduled in the history of HEAD and are not finished, with what " +
    "Slurm says of them. Slurm is asked once, however many jobs there are.",
    "On a terminal more jobs than fit on the screen are counted by state. Files and pipes get all.",
  ],
  examples: [
    ["datalad-slurm status", "list all open jobs"],
    ["datalad-slurm status --watch --timeout 2h", "watch them for two hours at most"],
    ["datalad-slurm status --json", "the same for programs, one JSON object a line"],
  ],
  operands: "any",
  options: [
    DATASET,
    SINCE,
    {
      name: "all",
      short: "a",
      help: "List every job also where that takes more than a screen, through the pager of git",
    },
    {
      name: "watch",
      short: "w",
      value: "SECONDS",
      optionalValue: true,
      help: "Look again and again, until no job is pending or running: soon at first and once a " +
        "minute later, or every so many seconds. Where stdout is no terminal, a line tells of " +
        "each job whose state has changed",
    },
    TIMEOUT,
    LOCK_TIMEOUT,
  ],
  run(words, terminal) {
    const timeoutMs = timeoutOf(words, "watch");
    return words.has("watch")
      ? watchStatus(words, timeoutMs, terminal)
      : showStatus("status", words, terminal);
  },
};

/** Shows the open jobs and returns the exit code; also for `finish --list-open-jobs`. */
export async function showStatus(
  command: string,
  words: ParsedArguments,
  terminal: Terminal,
): Promise<number> {
  const result = await look(command, words, terminal);
  if (terminal.json) {
    for (const job of result.jobs) terminal.record(asRecord(result.root, job));
  } else {
    await showJobs(result, words, terminal);
  }
  showProblems(result.jobs, terminal);
  return result.notOpen.length > 0 ? EXIT.refused : EXIT.done;
}

/** Asks for the open jobs, and tells whatever else is to be told. */
async function look(
  command: string,
  words: ParsedArguments,
  terminal: Terminal,
  isFirst = true,
): Promise<StatusResult> {
  const result = await status({
    dataset: words.last("dataset"),
    targets: words.operands,
    since: words.last("since"),
  }, patienceOf(command, words, terminal));
  // Who watches is told once.
  if (!isFirst) return result;
  for (const reason of result.unreadable) terminal.warn(harmless(reason));
  for (const taken of result.journal) showTakenUp(terminal, result.root, taken);
  for (const target of result.notOpen) showNotOpen(terminal, "status", result.root, target);
  return result;
}

async function watchStatus(
  words: ParsedArguments,
  timeoutMs: number | undefined,
  terminal: Terminal,
): Promise<number> {
  const seconds = words.last("watch");
  const intervalMs = seconds === undefined || seconds === "" ? undefined : Number(seconds) * 1000;
  if (intervalMs !== undefined && !(intervalMs >= 1000 && intervalMs <= 86_400_000)) {
    throw new ToolError("usage", `--watch takes seconds from 1 on, not ${JSON.stringify(seconds)}`);
  }
  const { result, isOver } = await watch({
    timeoutMs,
    intervalMs,
    look: (isFirst) => look("status", words, terminal, isFirst),
    showChange: (job, root) => {
      if (terminal.json) terminal.record(asRecord(root, job));
      else terminal.result(`Job ${job.job.jobId}: ${stateOf(job)}`);
    },
  }, terminal);
  if (!terminal.isTerminal && result.jobs.length === 0) terminal.say("No open jobs");
  showProblems(result.jobs, terminal);
  if (result.notOpen.length > 0) return EXIT.refused;
  return isOver ? EXIT.done : EXIT.pending;
}

/** Says what does not fit into the table. */
function showProblems(jobs: readonly OpenJobStatus[], terminal: Terminal): void {
  if (!terminal.json) { for (const job of jobs) explainState(terminal, job); }
  showFinisherProblems(jobs, terminal);
}

/** More problems of finishing jobs are counted only. */
const MOST_PROBLEMS = 5;

/** Says which jobs have to be finished by hand, although they were to be finished by a job. */
function showFinisherProblems(jobs: readonly OpenJobStatus[], terminal: Terminal): void {
  const problems = jobs.filter(({ finisher }) => finisher?.problem !== undefined);
  const left = problems.filter(({ finisher }) => finisher?.isAsAsked === true);
  const failed = problems.filter((job) => !left.includes(job));
  for (const { job, finisher } of failed.slice(0, MOST_PROBLEMS)) {
    terminal.warn(`Job ${job.jobId}: ${harmless(finisher?.problem ?? "")}`);
    if (finisher?.jobId !== undefined) terminal.say(`  Log: ${harmless(finisher.log)}`);
  }
  if (failed.length > MOST_PROBLEMS) {
    terminal.warn(`${failed.length - MOST_PROBLEMS} more jobs like that`);
  }
  if (failed.length > 0) terminal.hint("datalad-slurm finish finishes what is complete");
  for (const { job, finisher } of left.slice(0, MOST_PROBLEMS)) {
    terminal.say(`Job ${job.jobId}: ${harmless(finisher?.problem ?? "")}`);
  }
  if (left.length > MOST_PROBLEMS) {
    terminal.say(`${left.length - MOST_PROBLEMS} more jobs like that`);
  }
  if (left.length > 0) terminal.hint(`With datalad-slurm finish, ${ON_FAILED_JOBS}`);
}

/** More than fits on the screen is summed up, unless it is asked for; then it is paged. */
async function showJobs(
  { jobs, notOpen, root }: StatusResult,
  words: ParsedArguments,
  terminal: Terminal,
): Promise<void> {
  if (jobs.length === 0) {
    if (notOpen.length === 0) terminal.result("No open jobs");
    return;
  }
  const isChosen = words.has("all") || words.operands.length > 0;
  if (isChosen || fitsScreen(jobs.length + 1, terminal)) {
    return await showLong(statusTable(jobs, terminal), terminal, root);
  }
  terminal.result(statusSummary(jobs, terminal).join("\n"));
  terminal.hint("datalad-slurm status --all lists every job");
}

/** Says that a commit or job id names no open job. */
export function showNotOpen(
  terminal: Terminal,
  action: "status" | "finish",
  refds: string,
  { target, reason, hint }: NotOpen,
): void {
  terminal.error(harmless(reason), [], hint);
  if (terminal.json) {
    terminal.record({ action, status: "impossible", refds, message: reason, hint, target });
  }
}

/** Says why a state is unknown, and what to do about a stuck job. */
function explainState(terminal: Terminal, { job, report, left, branch }: OpenJobStatus): void {
  if (report === undefined || branch !== undefined) return;
  if (report.phase === "unknown") {
    terminal.say(`Job ${job.jobId} is unknown:`);
    for (const line of unknownBecause(report, left, terminal)) terminal.say(`  ${line}`);
  }
  const hint = hintOnLiveJob(report);
  if (hint !== undefined) terminal.hint(hint);
}

/** Tells what became of an operation that another command left unfinished. */
export function showTakenUp(terminal: Terminal, root: string, taken: TakenUp): void {
  const what = {
    "recorded": `Recorded job ${taken.jobId}, whose submission was cut short`,
    "dropped": "Cleared away what a command that was cut short has left",
    "in doubt": "It is in doubt whether this command submitted a job",
    "at work": "Another command is at work",
  }[taken.outcome];
  if (terminal.json) {
    const { outcome, token, jobId, commit, details } = taken;
    return terminal.record({
      action: "recover",
      status: {
        "recorded": "ok",
        "dropped": "ok",
        "in doubt": "error",
        "at work": "notneeded",
      }[outcome] as OutputRecord["status"],
      ...aboutDataset(root),
      message: what,
      outcome,
      token,
      ...(jobId === undefined ? {} : { slurm_job_id: jobId }),
      ...(commit === undefined ? {} : { commit }),
      details: [...details],
    });
  }
  const { outcome, token, isSeen, details } = taken;
  if (outcome === "at work") {
    terminal.say(`Note: ${what}: ${harmless(details.join("; "))}`);
    if (isSeen === true) return;
    return terminal.say(
      `  Once you know that it is dead: datalad-slurm recover --force ${harmless(token)}`,
    );
  }
  terminal.say(`Note: ${what}`);
  for (const detail of details) {
    for (const line of detail.split("\n")) terminal.say(`  ${harmless(line)}`);
  }
  if (outcome === "in doubt") terminal.say(`  Token: ${harmless(token)}`);
}

function asRecord(
  root: string,
  { job, report, branch, finisher, left }: OpenJobStatus,
): OpenJobRecord {
  const time = (seconds: number | undefined) =>
    seconds === undefined ? undefined : new Date(seconds * 1000).toISOString();
  return {
    action: "status",
    status: "ok",
    ...aboutDataset(root),
    slurm_job_id: job.jobId,
    cluster: job.record.datalad_slurm?.cluster,
    commit: job.commit,
    state: report?.state ?? "UNKNOWN",
    phase: report?.phase ?? "elsewhere",
    message: report?.reason,
    hint: report === undefined ? undefined : hintOnLiveJob(report),
    requeued_after: report?.requeuedAfter,
    exit_code: report?.exitCode,
    signal: report?.signal,
    submit: time(report?.submit),
    start: time(report?.start),
    end: time(report?.end),
    tasks: report?.tasks?.map((group) => ({ ...group })),
    finished_tasks: job.finished && { ...job.finished.states },
    left_behind: left && leftAsJson(left),
    branch,
    auto_finish: finisher && finisherAsJson(finisher),
    cmd: job.record.cmd,
    pwd: job.record.pwd,
    inputs: job.record.inputs,
    outputs: job.record.outputs,
  };
}
