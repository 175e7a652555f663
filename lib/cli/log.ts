import { log, type LoggedJob } from "../commands/log.ts";
import { commandOf } from "../commands/reschedule.ts";
import { ToolError } from "../errors.ts";
import type { ToolPart } from "../record/schema.ts";
import { harmless } from "../record/show.ts";
import { classifyState } from "../slurm/states.ts";
import { type Command, DATASET, SINCE } from "./command.ts";
import { EXIT } from "./exit.ts";
import { aboutDataset } from "./json/about.ts";
import type { LoggedRecord } from "./json/records.ts";
import { CLOSED, closedInWords, mergeHint, onBranch } from "./job_state.ts";
import { readableDuration } from "./progress.ts";
import { phaseStyle } from "./style.ts";
import { LongResult } from "./pager.ts";
import { type Cell, type Column, columnsWithRoom, pick, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { readableTime } from "./times.ts";

export const logCommand: Command = {
  name: "log",
  aliases: [],
  summary: "Show the recorded jobs of a history, or the job that made a file",
  usage: "[COMMIT|RANGE|JOBID] [PATH …]",
  description: [
    "Shows the jobs that the history of HEAD (or of COMMIT, or a RANGE such as v1..main) records, " +
    "the newest first. FROM names the job that one was rescheduled from. Slurm is not asked: " +
    "`status` tells how open jobs are doing.",
    "With PATH, a file, directory or glob, it shows the jobs that made it: those whose commits " +
    "change it, and, as `unchanged`, those that have it among their outputs and left it as it " +
    "was. With JOBID it shows that job, what it descends from, and what descends from it.",
  ],
  examples: [
    ["datalad-slurm log -n 5", "the last five jobs"],
    ["datalad-slurm log results/sorted.txt", "which job made this file"],
    ["datalad-slurm log --json --since v1.0", "all jobs since then, for programs"],
  ],
  operands: "any",
  options: [
    DATASET,
    SINCE,
    { name: "max-count", short: "n", value: "N", help: "No more jobs than these" },
  ],
  async run(words, terminal) {
    let left = readCount(words.last("max-count"));
    const rows = new RowsInTurn(terminal);
    const result = new LongResult(terminal, words.last("dataset") ?? ".");
    const branches: string[] = [];
    for await (
      const page of log({
        dataset: words.last("dataset"),
        operands: words.operands,
        since: words.last("since"),
      })
    ) {
      for (const reason of page.unreadable) terminal.warn(harmless(reason));
      const { otherChange } = page;
      if (otherChange !== undefined) {
        const { root, commit, subject } = otherChange;
        const message = `Last changed by commit ${commit.slice(0, 10)}, which is no job's: ` +
          harmless(subject);
        if (!terminal.json) terminal.say(`Note: ${message}`);
        else {
          terminal.record({
            action: "log",
            status: "notneeded",
            ...aboutDataset(root),
            commit,
            message,
          });
        }
      }
      const jobs = page.jobs.slice(0, left);
      left -= jobs.length;
      if (terminal.json) { for (const job of jobs) terminal.record(asRecord(job)); }
      else {
        await result.show(rows.linesOf(jobs));
        for (const { branch } of jobs) if (branch !== undefined) branches.push(branch);
      }
      if (left === 0 || terminal.isGone || result.isGone) break;
    }
    await result.end();
    if (!terminal.json && rows.count === 0) terminal.say("No job is recorded there");
    if (branches.length > 0) terminal.hint(mergeHint(branches));
    return EXIT.done;
  },
};

function readCount(given: string | undefined): number {
  if (given === undefined) return Infinity;
  if (/^[1-9]\d{0,8}$/.test(given)) return Number(given);
  throw new ToolError("usage", `--max-count takes a number, not ${JSON.stringify(given)}`);
}

const COLUMNS: readonly Column[] = [
  { title: "COMMIT", minor: 1 },
  { title: "JOB" },
  { title: "STATE", shrinks: true },
  { title: "WHEN", minor: 3 },
  { title: "ELAPSED", alignsRight: true, minor: 5 },
  { title: "FROM", minor: 4 },
  { title: "OUTPUTS", shrinks: true },
  { title: "COMMAND", shrinks: true, minor: 2 },
];

/**
 * A table whose rows come page by page: it has the columns of the first page, and none is narrower
 * than on the page before.
 */
class RowsInTurn {
  count = 0;
  readonly #terminal: Terminal;
  #kept: readonly number[] = [];
  #widest: readonly string[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  linesOf(jobs: readonly LoggedJob[]): string[] {
    if (jobs.length === 0) return [];
    const whole = jobs.map((job) => cellsOf(job, this.#terminal));
    const isFirst = this.count === 0;
    if (isFirst) this.#kept = columnsWithRoom(COLUMNS, whole, this.#terminal);
    this.count += jobs.length;
    const columns = pick(COLUMNS, this.#kept);
    const rows = whole.map((row) => pick(row, this.#kept));
    const [header = "", , ...lines] = table(columns, [this.#widest, ...rows], this.#terminal);
    this.#widest = columns.map(({ shrinks }, column) =>
      shrinks === true ? "" : [this.#widest, ...rows].map((row) => textOf(row[column] ?? ""))
        .reduce((widest, text) => text.length > widest.length ? text : widest, "")
    );
    return isFirst ? [header, ...lines] : lines;
  }
}

function textOf(cell: Cell): string {
  if (typeof cell === "string") return cell;
  return typeof cell.text === "string" ? cell.text : cell.text.join(" ");
}

function cellsOf(logged: LoggedJob, terminal: Terminal): Cell[] {
  const { job, isOpen, from } = logged;
  const { record } = job;
  const phase = isOpen ? undefined : classifyState(record.datalad_slurm?.state ?? "").phase;
  const elapsed = accountingOf(logged).elapsed;
  return [
    job.commit.slice(0, 10),
    taskName(logged),
    { text: stateText(logged), style: phaseStyle(phase) },
    readableTime(whenOf(logged), terminal),
    elapsed === undefined ? "" : readableDuration(elapsed),
    from === undefined ? "" : from.jobId ?? from.commit.slice(0, 10),
    { text: record.outputs.map(harmless) },
    harmless(commandOf(record)),
  ];
}

/** Returns the state in the record, and what else became of the job: `Failed, closed …`. */
function stateText({ job, isOpen, branch, changed }: LoggedJob): string {
  if (branch !== undefined) return onBranch(branch);
  if (isOpen) return "Open";
  const { closed, array_tasks, closed_tasks, missing = [] }: Partial<ToolPart> =
    job.record.datalad_slurm ?? {};
  const isAllClosed = closed === true || closed_tasks !== undefined && closed_tasks === array_tasks;
  return [
    job.state,
    closed === true ? CLOSED : closed_tasks === undefined ? undefined : closedInWords(closed_tasks),
    missing.length === 0 ? undefined : `${missing.length} missing`,
    // What was closed wrote nothing again.
    changed === false && !isAllClosed ? "unchanged" : undefined,
  ].filter((word) => word !== undefined).join(", ");
}

function taskName({ job }: LoggedJob): string {
  const tasks = job.kind === "part" ? job.record.datalad_slurm?.array_tasks : undefined;
  return tasks === undefined
    ? job.jobId
    : `${job.jobId}_${/^\d+$/.test(tasks) ? tasks : `[${tasks}]`}`;
}

/** Returns the end of a job, or when it was submitted, or when its commit was made. */
function whenOf(logged: LoggedJob): Date {
  const { end } = accountingOf(logged);
  const submitted = logged.job.record.datalad_slurm?.submitted_at;
  const told = logged.isOpen ? submitted : end;
  const time = told === undefined ? NaN : Date.parse(told);
  return new Date(Number.isNaN(time) ? logged.committed * 1000 : time);
}

/** What accounting said; a record is data from elsewhere, so what is no time is none. */
function accountingOf({ job }: LoggedJob): { start?: string; end?: string; elapsed?: number } {
  const { start, end, elapsed_seconds } = job.record.datalad_slurm?.accounting ?? {};
  return {
    ...(isTime(start) ? { start } : {}),
    ...(isTime(end) ? { end } : {}),
    ...(typeof elapsed_seconds === "number" ? { elapsed: elapsed_seconds } : {}),
  };
}

function isTime(value: unknown): value is string {
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/.test(value);
}

function asRecord(logged: LoggedJob): LoggedRecord {
  const { job, root, isOpen, from, changed, committed } = logged;
  const { record, message } = job;
  const { start, end, elapsed } = accountingOf(logged);
  const { array_tasks, schedule_commit, submitted_at, state } = record.datalad_slurm ?? {};
  return {
    action: "log",
    status: "ok",
    ...aboutDataset(root),
    ...(message === undefined ? {} : { message }),
    kind: job.kind,
    slurm_job_id: job.jobId,
    ...(job.kind === "part" && array_tasks !== undefined ? { array_tasks } : {}),
    commit: job.commit,
    committed: new Date(committed * 1000).toISOString(),
    ...(isOpen || schedule_commit === undefined ? {} : { schedule_commit }),
    open: isOpen,
    ...(isOpen ? {} : { state: state ?? job.state }),
    ...(submitted_at === undefined ? {} : { submit: submitted_at }),
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    ...(elapsed === undefined ? {} : { elapsed_seconds: elapsed }),
    cmd: record.cmd,
    pwd: record.pwd,
    inputs: record.inputs,
    outputs: record.outputs,
    chain: record.chain,
    ...(from === undefined ? {} : { original_commit: from.commit }),
    ...(from?.jobId === undefined ? {} : { original_slurm_job_id: from.jobId }),
    ...(changed === undefined ? {} : { changed }),
  };
}
