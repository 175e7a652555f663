import { type OpenJobStatus, status } from "../commands/status.ts";
import { finishedTasks } from "../dataset/history.ts";
import type { TakenUp } from "../commands/recover.ts";
import { harmless } from "../record/show.ts";
import { stateWord } from "../record/subject.ts";
import type { ParsedArguments } from "./arguments.ts";
import { type Command, DATASET, LOCK_TIMEOUT, patienceOf, SINCE } from "./command.ts";
import { EXIT } from "./exit.ts";
import { aboutDataset } from "./json/about.ts";
import type { OpenJobRecord, OutputRecord } from "./json/records.ts";
import { phaseStyle } from "./style.ts";
import { table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { readableTime } from "./times.ts";

export const statusCommand: Command = {
  name: "status",
  aliases: [],
  summary: "List the open jobs and their states",
  usage: "[COMMIT|JOBID …]",
  description: [
    "Lists the jobs that were scheduled in the history of HEAD and are not finished, with what " +
    "Slurm says of them. Slurm is asked once, however many jobs there are.",
  ],
  examples: [
    ["datalad-slurm status", "list all open jobs"],
    ["datalad-slurm status --json", "the same for programs, one JSON object a line"],
  ],
  operands: "any",
  options: [DATASET, SINCE, LOCK_TIMEOUT],
  run: (words, terminal) => showStatus("status", words, terminal),
};

/** Shows the open jobs and returns the exit code; also for `finish --list-open-jobs`. */
export async function showStatus(
  command: string,
  words: ParsedArguments,
  terminal: Terminal,
): Promise<number> {
  const result = await status({
    dataset: words.last("dataset"),
    targets: words.operands,
    since: words.last("since"),
  }, patienceOf(command, words, terminal));
  for (const reason of result.unreadable) terminal.warn(harmless(reason));
  for (const taken of result.journal) showTakenUp(terminal, result.root, taken);
  for (const { target, reason } of result.notOpen) {
    showNotOpen(terminal, "status", result.root, target, reason);
  }
  if (terminal.json) {
    for (const job of result.jobs) terminal.record(asRecord(result.root, job));
  } else {
    if (result.jobs.length > 0) terminal.result(statusTable(result.jobs, terminal).join("\n"));
    else if (result.notOpen.length === 0) terminal.result("No open jobs");
  }
  return result.notOpen.length > 0 ? EXIT.refused : EXIT.done;
}

/** Says that a commit or job id names no open job. */
export function showNotOpen(
  terminal: Terminal,
  action: "status" | "finish",
  refds: string,
  target: string,
  reason: string,
): void {
  terminal.error(harmless(reason));
  if (terminal.json) {
    terminal.record({ action, status: "impossible", refds, message: reason, target });
  }
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
  terminal.say(`Note: ${what}`);
  for (const detail of taken.details) {
    for (const line of detail.split("\n")) terminal.say(`  ${harmless(line)}`);
  }
}

function statusTable(jobs: readonly OpenJobStatus[], terminal: Terminal): string[] {
  return table(
    [
      { title: "COMMIT" },
      { title: "JOB" },
      { title: "STATE", shrinks: true },
      { title: "SINCE" },
      { title: "OUTPUTS", shrinks: true },
    ],
    jobs.map((status) => [
      status.job.commit.slice(0, 10),
      status.job.jobId,
      { text: stateOf(status), style: phaseStyle(status.report?.phase) },
      sinceOf(status, terminal),
      { text: status.job.record.outputs.map(harmless) },
    ]),
    terminal,
  );
}

function stateOf({ job, report, branch }: OpenJobStatus): string {
  if (branch !== undefined) return `on branch ${branch.replace("refs/heads/", "")}`;
  if (report === undefined) return "in another clone";
  const label = stateWord(report.state);
  if (report.tasks === undefined) {
    return report.reason === undefined || report.phase !== "pending"
      ? label
      : `${label} (${harmless(report.reason)})`;
  }
  const finished = finishedTasks(job).size;
  const all = report.tasks.reduce((sum, { count }) => sum + count, finished);
  const groups = report.tasks.map(({ state, count }) => `${count} of ${all} ${stateWord(state)}`);
  if (finished > 0) groups.push(`${finished} finished`);
  return `${label} (${groups.join(", ")})`;
}

function sinceOf({ report }: OpenJobStatus, terminal: Terminal): string {
  const seconds = report?.end ?? (report?.phase === "pending" ? report.submit : report?.start);
  return seconds === undefined ? "" : readableTime(new Date(seconds * 1000), terminal);
}

function asRecord(root: string, { job, report, branch }: OpenJobStatus): OpenJobRecord {
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
    submit: time(report?.submit),
    start: time(report?.start),
    end: time(report?.end),
    tasks: report?.tasks?.map((group) => ({ ...group })),
    finished_tasks: job.finished && { ...job.finished.states },
    branch,
    cmd: job.record.cmd,
    pwd: job.record.pwd,
    inputs: job.record.inputs,
    outputs: job.record.outputs,
  };
}
