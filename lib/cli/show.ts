import { requestOf } from "../commands/job_shortage.ts";
import { commandOf } from "../commands/reschedule.ts";
import { type JobDetails, show } from "../commands/show.ts";
import type { RecordedJob } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { harmless } from "../record/show.ts";
import { stateWord } from "../record/subject.ts";
import { type Accounting, readTaskLine, type TaskAccounting } from "../slurm/account.ts";
import { IndexSet } from "../slurm/array.ts";
import { classifyState } from "../slurm/states.ts";
import { type Command, DATASET } from "./command.ts";
import { EXIT } from "./exit.ts";
import { changeInWords } from "./finished_jobs.ts";
import {
  CLOSED,
  closedInWords,
  endingInWords,
  finisherAsJson,
  mergeHint,
  onBranch,
  stateText,
} from "./job_state.ts";
import { aboutDataset } from "./json/about.ts";
import type { ShownRecord } from "./json/records.ts";
import { type Pair, pairLines } from "./pairs.ts";
import { readableDuration } from "./progress.ts";
import { allInWords, readableMemory, shortageInWords } from "./shortage.ts";
import { phaseStyle } from "./style.ts";
import { localTime } from "./times.ts";

export const showCommand: Command = {
  name: "show",
  aliases: [],
  summary: "Show what is known of one recorded job",
  usage: "COMMIT|JOBID",
  description: [
    "Shows a job that the history records: its command, states and times, what it requested and " +
    "what it used of that, its files, and whether script and inputs are still what was submitted. " +
    "A finished job is told from history alone; about an open one Slurm is asked.",
    "Times and memory are what Slurm's accounting has. Memory is that of the largest task, at the " +
    "moments at which Slurm looked: a short peak may be missing. What is not known is left out.",
  ],
  examples: [
    ["datalad-slurm show HEAD", "the job of the last commit"],
    ["datalad-slurm show --json 9163380", "a job by its id, for programs"],
  ],
  operands: "any",
  options: [DATASET],
  async run(words, terminal) {
    const [target, ...others] = words.operands;
    if (target === undefined || others.length > 0) {
      throw new ToolError("usage", "show takes one commit or job id", {
        hint: "Such as: show HEAD; see the recorded jobs with: datalad-slurm log",
      });
    }
    const details = await show({ dataset: words.last("dataset"), target });
    if (terminal.json) {
      terminal.record(asRecord(details));
      return EXIT.done;
    }
    terminal.result(pairLines(describe(details), terminal).join("\n"));
    for (const shortage of details.shortages) terminal.hint(shortageInWords(shortage).hint);
    if (details.branch !== undefined) terminal.hint(mergeHint([details.branch]));
    return EXIT.done;
  },
};

function describe(details: JobDetails): Pair[] {
  const { record, accounting = {}, report, finish, submission, state } = details;
  const part = record.datalad_slurm;
  const cluster = part?.cluster ?? accounting.cluster;
  const phase = state === undefined ? undefined : report?.phase ?? classifyState(state).phase;
  const pair = (name: string, ...values: (string | undefined)[]): Pair => ({
    name,
    values: values.filter((value) => value !== undefined),
  });
  return [
    pair(
      "Job",
      `${details.jobId}${cluster === undefined ? "" : ` on cluster ${harmless(cluster)}`}`,
    ),
    { ...pair("State", stateLine(details)), style: phaseStyle(phase) },
    pair(
      "",
      ...details.shortages.map((shortage) => shortageInWords(shortage).happened),
    ),
    pair("Message", ...lines((finish ?? submission)?.message)),
    pair("Command", harmless(commandOf(record))),
    pair("Directory", harmless(part?.job?.work_dir ?? record.pwd)),
    pair("Runs in", record.alt_dir ? harmless(record.alt_dir) : undefined),
    pair("Submitted", timeOf(part?.submitted_at ?? accounting.submit)),
    pair("Started", timeOf(accounting.start ?? isoOf(report?.start)), waitingTime(accounting)),
    pair("Ended", timeOf(accounting.end ?? isoOf(report?.end))),
    ...resources(details).map(([name, value]) => pair(name, value)),
    pair("Tasks", ...tasks(details)),
    pair("Outputs", ...record.outputs.map(harmless)),
    ...FILE_LISTS.map(([name, key]) => pair(name, ...shortened(details.files[key]))),
    pair("Script", ...scriptLines(details)),
    pair("Inputs", ...inputLines(details)),
    pair("Changed", ...changeLines(details)),
    pair("Scheduled", commitLine(submission)),
    pair(
      "Parts",
      ...details.parts.map((one) => commitLine(one, one.record.datalad_slurm?.array_tasks)),
    ),
    finish !== undefined
      ? pair("Finished", commitLine(finish))
      : details.branch !== undefined
      ? pair("Finished", `${onBranch(details.branch)}, not merged yet`)
      : pair("Finished", "no commit yet", finisherLine(details)),
    pair(
      "Descends",
      ...details.chain.map(({ commit, jobId }) =>
        `from ${jobId === undefined ? "" : `job ${jobId}, `}commit ${commit.slice(0, 10)}`
      ),
    ),
    pair("Namesakes", ...details.namesakes.map((one) => commitLine(one))),
  ];
}

/** Of the files of a large array so many are shown; `--json` has them all. */
const MOST_FILES = 20;

function shortened(paths: readonly string[]): string[] {
  const more = paths.length - MOST_FILES;
  const shown = paths.slice(0, MOST_FILES).map(harmless);
  return more > 0 ? [...shown, `and ${more} more`] : shown;
}

const FILE_LISTS = [
  ["Logs", "logs"],
  ["Accounting", "environment"],
  ["Missing", "missing"],
  ["Ignored", "ignored"],
  ["Deleted", "deleted"],
] as const;

function stateLine(details: JobDetails): string {
  const { state, report, accounting, finish, record, closedTasks } = details;
  if (state === undefined) return "not known: it was submitted from another clone";
  const closed = record.datalad_slurm?.closed === true
    ? `, ${CLOSED}`
    : closedTasks === ""
    ? ""
    : `, ${closedInWords(closedTasks)}`;
  const { exit_code = report?.exitCode, signal = report?.signal } = accounting ?? {};
  const ending = endingInWords(exit_code, signal);
  const exit = ending === undefined ? "" : `, ${ending}`;
  const reason = report?.reason === undefined ? "" : ` (${harmless(report.reason)})`;
  const assumed = assumedInWords([...details.parts, ...finish === undefined ? [] : [finish]]);
  return `${
    harmless(stateWord(finish?.record.datalad_slurm?.state ?? state))
  }${assumed}${exit}${reason}${closed}`;
}

/** Says what of a job's state is the user's word: ` (assumed)`, of an array ` (task 2 assumed)`. */
function assumedInWords(commits: readonly RecordedJob[]): string {
  const parts = commits.flatMap(({ record }) =>
    record.datalad_slurm?.assumed === true ? [record.datalad_slurm.assumed_tasks] : []
  );
  if (parts.length === 0) return "";
  if (parts.includes(undefined)) return " (assumed)";
  const tasks = new IndexSet();
  for (const part of parts) tasks.addAll(IndexSet.of(part));
  return tasks.size === 1 ? ` (task ${tasks} assumed)` : ` (${tasks.size} tasks assumed)`;
}

/** Returns what was requested and used, as names and values; what is not known is left out. */
function resources({ accounting, record }: JobDetails): [string, string][] {
  const components = accounting?.components;
  const job = record.datalad_slurm?.job;
  const given: Accounting = { ...requestOf(job), ...accounting };
  const found: [string, string][] = components === undefined
    ? used(given, accounting?.task_count)
    : Object.entries(components).flatMap(([offset, one]) =>
      used(one).map(([name, value]): [string, string] => [`${name} of ${offset}`, value])
    );
  const { partition, qos = job?.qos, slurm_version } = accounting ?? {};
  const where = [
    partition ?? job?.partition,
    qos === undefined ? undefined : `QOS ${qos}`,
  ].filter((word) => word !== undefined).map(harmless).join(", ");
  if (where !== "") found.push(["Partition", where]);
  if (job?.requested !== undefined) found.push(["Requested", harmless(job.requested)]);
  if (job?.dependency !== undefined) found.push(["Dependency", harmless(job.dependency)]);
  if (slurm_version !== undefined) found.push(["Slurm", harmless(slurm_version)]);
  return found;
}

function used(one: Accounting, taskCount?: number): [string, string][] {
  const { elapsed_seconds: elapsed, time_limit_seconds: limit, cpu_seconds: cpu } = one;
  const { allocated_cpus: cpus, max_rss_bytes: rss, requested_memory_bytes: memory } = one;
  const rows: [string, string][] = [];
  // Of an array it is the sum of all tasks, each of which has the limit for itself.
  const ofAll = taskCount === undefined ? "" : ` in all tasks`;
  // What has not started has used nothing.
  const hasStarted = one.start !== undefined || elapsed !== undefined && elapsed > 0;
  if (elapsed !== undefined && hasStarted) {
    const share = limit === undefined || taskCount !== undefined
      ? ""
      : ` of ${readableDuration(limit)}${percent(elapsed, limit)}`;
    rows.push(["Elapsed", `${readableDuration(elapsed)}${ofAll}${share}`]);
  }
  if (limit !== undefined && (taskCount !== undefined || elapsed === undefined || !hasStarted)) {
    rows.push(["Time limit", readableDuration(limit)]);
  }
  if (cpus !== undefined) {
    // Slurm shows none where it has looked at no step.
    const busy = !elapsed || !cpu
      ? ""
      : `, busy for ${readableDuration(cpu)} of ${readableDuration(elapsed * cpus)}` +
        percent(cpu, elapsed * cpus);
    rows.push(["CPUs", `${cpus}${busy}`]);
  }
  const requested = memory ? `${readableMemory(memory)} requested` : undefined;
  const largest = one.step_rss_bytes ?? rss;
  if (largest) {
    const by = one.step_rss_bytes === undefined ? "by one task" : "by the tasks of one step";
    rows.push([
      "Memory",
      `${readableMemory(largest)} used at most ${by}` +
      (memory ? `, of ${requested}${percent(largest, memory)}` : ""),
    ]);
  } else if (requested !== undefined) {
    rows.push(["Memory", `${requested}${hasStarted ? ", what was used is not known" : ""}`]);
  }
  if (one.nodes !== undefined) {
    const list = one.node_list === undefined ? "" : `: ${harmless(one.node_list)}`;
    rows.push(["Nodes", `${one.nodes}${list}`]);
  }
  return rows;
}

function percent(part: number, whole: number): string {
  return whole > 0 ? ` (${Math.round(100 * part / whole)} %)` : "";
}

/** Returns the tasks of an array by state, and the worst of them. */
function tasks({ report, record, accounting, closedTasks }: JobDetails): string[] {
  const part = record.datalad_slurm;
  const states = report?.tasks?.map(({ state, indices }) => [state, indices] as const) ??
    Object.entries(part?.task_states ?? accounting?.task_states ?? {});
  const all = (accounting?.tasks ?? []).flatMap((line) => readTaskLine(line) ?? []);
  const limit = accounting?.time_limit_seconds;
  const memory = accounting?.requested_memory_bytes;
  const most = (value: (task: TaskAccounting) => number | undefined) =>
    all.reduce<TaskAccounting | undefined>(
      (worst, task) => (value(task) ?? 0) > (worst && value(worst) || 0) ? task : worst,
      undefined,
    );
  const slowest = most(({ elapsedSeconds }) => elapsedSeconds);
  const largest = most(({ maxRssBytes }) => maxRssBytes);
  const hasFailed = (state: string) => classifyState(state).phase === "failed";
  const failed = all.filter(({ state }) => hasFailed(state));
  const shown = failed.slice(0, MOST_TASKS);
  // Not every task of a large array has a line, and none has one that never started.
  const failedCount = states.filter(([state]) => hasFailed(state))
    .reduce((count, [, indices]) => count + IndexSet.of(indices).size, 0);
  const unlisted = shown.length === 0 ? 0 : failedCount - shown.length;
  return [
    ...states.map(([state, indices]) => `${harmless(stateWord(state))}: ${harmless(indices)}`),
    ...(closedTasks === "" ? [] : [`${CLOSED}: ${closedTasks}`]),
    ...shown.map((task) => `${task.index}: ${taskLine(task)}`),
    ...(unlisted > 0 ? [`and ${unlisted} more that failed`] : []),
    ...(slowest?.elapsedSeconds === undefined || all.length < 2 ? [] : [
      `the longest, ${slowest.index}: ${readableDuration(slowest.elapsedSeconds)}` +
      (limit === undefined
        ? ""
        : ` of ${readableDuration(limit)}${percent(slowest.elapsedSeconds, limit)}`),
    ]),
    ...(largest?.maxRssBytes === undefined || all.length < 2 ? [] : [
      `the largest, ${largest.index}: ${readableMemory(largest.maxRssBytes)}` +
      (memory ? ` of ${readableMemory(memory)}${percent(largest.maxRssBytes, memory)}` : ""),
    ]),
  ];
}

const MOST_TASKS = 5;

function taskLine({ state, exitCode, signal, elapsedSeconds, nodeList }: TaskAccounting): string {
  return [
    harmless(stateWord(state)),
    endingInWords(exitCode, signal),
    elapsedSeconds === undefined ? undefined : `after ${readableDuration(elapsedSeconds)}`,
    nodeList === undefined ? undefined : `on ${harmless(nodeList)}`,
  ].filter((word) => word !== undefined).join(", ");
}

function scriptLines({ record }: JobDetails): string[] {
  const script = record.datalad_slurm?.script;
  if (script === undefined) return [];
  const { path, object, differs } = script;
  return [`${harmless(path)}, as ${object.slice(0, 10)}${differenceInWords(differs)}`];
}

function inputLines({ record }: JobDetails): string[] {
  const { inputs = {}, differs = {} } = record.datalad_slurm ?? {};
  const pinned = [...new Set([...Object.keys(inputs), ...Object.keys(differs)])].sort();
  const lines = pinned.map((path) => {
    const id = inputs[path];
    const as = id === undefined
      ? ""
      : `, as ${harmless(/^[0-9a-f]{40,}$/.test(id) ? id.slice(0, 10) : id)}`;
    return `${harmless(path)}${as}${differenceInWords(differs[path])}`;
  });
  const others = [...record.inputs, ...record.extra_inputs].filter((path) =>
    !pinned.includes(path)
  );
  return [...others.map(harmless), ...lines];
}

function differenceInWords(differs: string | undefined): string {
  return {
    modified: "; not as it was committed",
    new: "; not committed",
    deleted: "; deleted, but committed",
    outside: "; outside the dataset",
  }[differs ?? ""] ?? "";
}

function changeLines({ changed, accounting, record }: JobDetails): string[] {
  if (changed === undefined) return [];
  const seconds = (time: string | undefined) =>
    time === undefined || Number.isNaN(Date.parse(time)) ? undefined : Date.parse(time) / 1000;
  const [start, end] = [seconds(accounting?.start), seconds(accounting?.end)];
  const times = {
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
  };
  if (changed.length > 0) return changed.map((file) => changeInWords(file, times));
  const told = record.datalad_slurm?.changed ?? [];
  return told.length > 0 ? [] : ["nothing: script and inputs are what was submitted"];
}

/** Says which job is to finish an open one, and how that is doing. */
function finisherLine({ finisher }: JobDetails): string | undefined {
  if (finisher === undefined) return undefined;
  const { jobId, report, problem } = finisher;
  if (problem !== undefined) return harmless(problem);
  const state = report === undefined ? "Unknown" : stateText(report);
  return `its finishing job is ${jobId}: ${state}`;
}

function commitLine(
  job: JobDetails["submission"],
  tasks?: string,
): string | undefined {
  if (job === undefined) return undefined;
  return `${job.commit.slice(0, 10)}${tasks === undefined ? "" : `, tasks ${harmless(tasks)}`}`;
}

function lines(text: string | undefined): string[] {
  return text === undefined ? [] : text.split("\n").map(harmless);
}

function timeOf(time: string | undefined): string | undefined {
  return time === undefined || Number.isNaN(Date.parse(time))
    ? undefined
    : localTime(new Date(time));
}

function isoOf(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : new Date(seconds * 1000).toISOString();
}

function waitingTime({ submit, start }: Accounting): string | undefined {
  const waited = (Date.parse(start ?? "") - Date.parse(submit ?? "")) / 1000;
  return waited >= 1 ? `after ${readableDuration(waited)} in the queue` : undefined;
}

function asRecord(details: JobDetails): ShownRecord {
  const { root, jobId, submission, finish, record, report, accounting, shortages } = details;
  const part = record.datalad_slurm;
  const cluster = part?.cluster ?? accounting?.cluster;
  const start = accounting?.start ?? isoOf(report?.start);
  const end = accounting?.end ?? isoOf(report?.end);
  const message = (finish ?? submission)?.message;
  const listed = (name: "missing" | "ignored" | "deleted") =>
    details.files[name].length === 0 ? undefined : [...details.files[name]];
  return {
    action: "show",
    status: "ok",
    ...aboutDataset(root),
    message,
    slurm_job_id: jobId,
    cluster,
    state: details.state,
    phase: report?.phase ??
      (details.state === undefined ? "elsewhere" : classifyState(details.state).phase),
    open: finish === undefined,
    reason: report?.reason,
    exit_code: accounting?.exit_code ?? report?.exitCode,
    signal: accounting?.signal ?? report?.signal,
    schedule_commit: submission?.commit,
    part_commits: details.parts.map(({ commit }) => commit),
    finish_commit: finish?.commit,
    cmd: record.cmd,
    pwd: record.pwd,
    inputs: record.inputs,
    outputs: record.outputs,
    logs: [...details.files.logs, ...details.files.environment],
    submit: part?.submitted_at ?? accounting?.submit,
    start,
    end,
    accounting: accounting && { ...accounting },
    task_states: report?.tasks
      ? Object.fromEntries(report.tasks.map(({ state, indices }) => [state, indices]))
      : part?.task_states ?? accounting?.task_states,
    job: part?.job && { ...part.job },
    script: part?.script && { ...part.script },
    pinned_inputs: part?.inputs,
    differs: part?.differs,
    changed: details.changed?.map(({ path, isScript, at }) => ({
      path,
      role: isScript ? "script" : "input",
      ...(at === undefined ? {} : { changed_at: new Date(at * 1000).toISOString() }),
    })),
    auto_finish: details.finisher && finisherAsJson(details.finisher),
    missing: listed("missing"),
    ignored: listed("ignored"),
    deleted: listed("deleted"),
    chain: details.chain.map(({ commit, jobId }) => ({
      commit,
      ...(jobId === undefined ? {} : { slurm_job_id: jobId }),
    })),
    hint: shortages.length === 0 ? undefined : allInWords(shortages),
  };
}
