import {
  type JobReference,
  type MemoryAmount,
  parseCount,
  parseDuration,
  parseExit,
  parseMemory,
  parseReference,
  parseTime,
} from "./fields.ts";
import { formatIndices } from "./array.ts";
import { classifyState } from "./states.ts";
import type { TableRow } from "./table.ts";

/** What accounting knows of one job, task or component, as it goes into a record. */
export interface Accounting {
  /** Slurm's own id of the record; of an array task not the master's. */
  job_id?: string;
  cluster?: string;
  partition?: string;
  qos?: string;
  priority?: number;
  state?: string;
  exit_code?: number;
  signal?: number;
  /** The highest exit code of a step that srun started. */
  derived_exit_code?: number;
  /** Times in UTC: `2026-11-22T14:02:19Z`. */
  submit?: string;
  start?: string;
  end?: string;
  elapsed_seconds?: number;
  /** Absent without a limit. */
  time_limit_seconds?: number;
  cpu_seconds?: number;
  /** The largest resident set of one task of one step. */
  max_rss_bytes?: number;
  requested_cpus?: number;
  allocated_cpus?: number;
  requested_memory_bytes?: number;
  nodes?: number;
  node_list?: string;
}

/** What accounting knows of one job. Of an array: sums of what its tasks used, and the tasks. */
export interface JobAccounting extends Accounting {
  /** The version of Slurm's programs at the finish. */
  slurm_version?: string;
  task_count?: number;
  /** Task indices by state in Slurm's notation: `{ "COMPLETED": "0-4,7" }`. */
  task_states?: Record<string, string>;
  /**
   * One line a task, with the words that {@link TASK_LINE} names; only the tasks that did not
   * complete, of an array of more than 1000.
   */
  tasks?: string[];
  /** The components of a heterogeneous job by offset. */
  components?: Record<string, Accounting>;
}

const NUMBERS: readonly (keyof JobAccounting)[] = [
  "priority",
  "exit_code",
  "signal",
  "derived_exit_code",
  "elapsed_seconds",
  "time_limit_seconds",
  "cpu_seconds",
  "max_rss_bytes",
  "requested_cpus",
  "allocated_cpus",
  "requested_memory_bytes",
  "nodes",
  "task_count",
];
const TEXTS: readonly (keyof JobAccounting)[] = [
  "job_id",
  "cluster",
  "partition",
  "qos",
  "state",
  "submit",
  "start",
  "end",
  "node_list",
  "slurm_version",
];

/**
 * Returns the accounting in a record, which is data from elsewhere: what is not of its kind is left
 * out.
 */
export function readAccounting(
  value: Readonly<Record<string, unknown>> | undefined,
): JobAccounting | undefined {
  if (value === undefined) return undefined;
  const isText = (field: unknown): field is string => typeof field === "string";
  const all = Object.entries(value).filter(([name, field]) => {
    const key = name as keyof JobAccounting;
    if (key === "tasks") return Array.isArray(field) && field.every(isText);
    if (key === "task_states") return isMap(field) && Object.values(field).every(isText);
    if (key === "components") return isMap(field) && Object.values(field).every(isMap);
    return NUMBERS.includes(key) ? Number.isFinite(field) : TEXTS.includes(key) && isText(field);
  });
  return Object.fromEntries(all);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What one line of `tasks` says; what is not known is absent. */
export interface TaskAccounting {
  readonly index: number;
  readonly state: string;
  readonly exitCode?: number;
  readonly signal?: number;
  readonly elapsedSeconds?: number;
  readonly cpuSeconds?: number;
  readonly maxRssBytes?: number;
  readonly nodeList?: string;
}

/** Returns what a line of `tasks` says, in the words of {@link TASK_LINE}; undefined for another. */
export function readTaskLine(line: string): TaskAccounting | undefined {
  const words = line.split(" ");
  const [index, , state, exit, elapsed, cpu, rss, nodeList] = words;
  if (index === undefined || state === undefined || !/^\d+$/.test(index)) return undefined;
  const number = (name: string, word: string | undefined) =>
    word === undefined || !/^\d+(?:\.\d+)?$/.test(word) ? {} : { [name]: Number(word) };
  const status = parseExit(exit);
  return {
    index: Number(index),
    state,
    ...(status === undefined ? {} : { exitCode: status.code, signal: status.signal }),
    ...number("elapsedSeconds", elapsed),
    ...number("cpuSeconds", cpu),
    ...number("maxRssBytes", rss),
    ...(nodeList === undefined || nodeList === "-" ? {} : { nodeList }),
  };
}

/** The words of a line of `tasks`; `-` stands for what is not known. */
export const TASK_LINE =
  "index job_id state exit_code:signal elapsed_seconds cpu_seconds max_rss_bytes node_list";

const MOST_TASK_LINES = 1000;

interface Unit {
  readonly reference: JobReference;
  readonly accounting: Accounting;
}

/**
 * Returns what rows of the accounting query (allocations, each followed by its steps) say about the
 * jobs asked for, by job id. A row submitted before `notBefore` gives for its job, in seconds
 * since 1970, is of an earlier use of the id and left out.
 */
export function accountRows(
  rows: Iterable<TableRow>,
  jobIds: ReadonlySet<string>,
  notBefore: ReadonlyMap<string, number> = new Map(),
): Map<string, JobAccounting> {
  const units = new Map<string, Map<string, Unit>>();
  for (const row of rows) {
    const reference = parseReference(row["JobID"] ?? "");
    const raw = /^\d+/.exec(row["JobIDRaw"] ?? "")?.[0];
    if (reference === undefined || raw === undefined) continue;
    const jobId = jobIds.has(reference.jobId) ? reference.jobId : raw;
    if (!jobIds.has(jobId)) continue;
    const own = units.get(jobId) ?? new Map<string, Unit>();
    units.set(jobId, own);
    const key = keyOf(reference);
    if (reference.step === undefined) {
      if ((parseTime(row["Submit"]) ?? Infinity) < (notBefore.get(jobId) ?? 0)) continue;
      own.set(key, { reference, accounting: allocation(row, raw) });
    } else {
      addStep(own.get(key)?.accounting, row);
    }
  }
  return new Map(
    [...units].filter(([, own]) => own.size > 0).map((
      [jobId, own],
    ) => [jobId, combine([...own.values()])]),
  );
}

function keyOf({ jobId, task, tasks, component }: JobReference): string {
  return `${jobId}_${task ?? tasks ?? ""}+${component ?? ""}`;
}

function allocation(row: TableRow, raw: string): Accounting {
  const exit = parseExit(row["ExitCode"]);
  const allocated = parseCount(row["AllocCPUS"]);
  const minutes = parseCount(row["TimelimitRaw"]);
  return compact({
    job_id: raw,
    cluster: named(row["Cluster"]),
    partition: named(row["Partition"]),
    qos: named(row["QOS"]),
    priority: parseCount(row["Priority"]),
    state: classifyState(row["State"] ?? "").word,
    exit_code: exit?.code,
    signal: exit?.signal,
    derived_exit_code: parseExit(row["DerivedExitCode"])?.code,
    submit: isoTime(row["Submit"]),
    start: isoTime(row["Start"]),
    end: isoTime(row["End"]),
    elapsed_seconds: parseCount(row["ElapsedRaw"]),
    time_limit_seconds: minutes === undefined ? undefined : minutes * 60,
    cpu_seconds: parseDuration(row["TotalCPU"]),
    max_rss_bytes: parseMemory(row["MaxRSS"])?.bytes,
    // Zero in a row that slurmdbd has not completed yet (22.05).
    requested_cpus: parseCount(row["ReqCPUS"]) || undefined,
    allocated_cpus: allocated,
    requested_memory_bytes: requestedMemory(row, allocated),
    nodes: parseCount(row["NNodes"]),
    node_list: named(row["NodeList"]),
  });
}

function addStep(accounting: Accounting | undefined, row: TableRow): void {
  const rss = parseMemory(row["MaxRSS"])?.bytes;
  if (accounting === undefined || rss === undefined) return;
  accounting.max_rss_bytes = Math.max(accounting.max_rss_bytes ?? 0, rss);
}

/** sacct before 21.08 gives the request for each node or CPU. */
function requestedMemory(row: TableRow, allocated: number | undefined): number | undefined {
  const amount: MemoryAmount | undefined = parseMemory(row["ReqMem"]);
  if (amount?.per === undefined) return amount?.bytes;
  const factor = amount.per === "node"
    ? parseCount(row["NNodes"])
    : allocated || parseCount(row["ReqCPUS"]);
  return factor === undefined ? undefined : amount.bytes * factor;
}

function combine(units: readonly Unit[]): JobAccounting {
  const [first] = units;
  if (first === undefined) return {};
  if (first.reference.component !== undefined) return combineComponents(units);
  const isArray = units.some(({ reference }) => (reference.task ?? reference.tasks) !== undefined);
  return isArray ? combineTasks(units) : first.accounting;
}

function combineComponents(units: readonly Unit[]): JobAccounting {
  return compact({
    ...shared(units),
    components: Object.fromEntries(
      units.map(({ reference, accounting }) => [String(reference.component ?? 0), accounting]),
    ),
  });
}

function combineTasks(units: readonly Unit[]): JobAccounting {
  const tasks = units.filter(({ reference }) => reference.task !== undefined);
  const waiting = units.filter(({ reference }) => reference.tasks !== undefined);
  const byState = Map.groupBy(tasks, ({ accounting }) => accounting.state ?? "UNKNOWN");
  const states = [...byState].map(([state, units]) =>
    [state, formatIndices(units.map(({ reference }) => reference.task ?? 0))] as const
  );
  for (const { reference, accounting } of waiting) {
    const state = accounting.state ?? "UNKNOWN";
    const list = (reference.tasks ?? "").replace(/%.*$/, "");
    const at = states.findIndex(([word]) => word === state);
    const before = states[at]?.[1];
    if (before === undefined) states.push([state, list]);
    else states[at] = [state, `${before},${list}`];
  }
  const listed = tasks.length > MOST_TASK_LINES
    ? tasks.filter(({ accounting }) => accounting.state !== "COMPLETED").slice(0, MOST_TASK_LINES)
    : tasks;
  return compact({
    ...shared(units),
    task_count: tasks.length,
    task_states: Object.fromEntries(states),
    tasks: [...listed].sort(byIndex).map(taskLine),
  });
}

function byIndex(a: Unit, b: Unit): number {
  return (a.reference.task ?? 0) - (b.reference.task ?? 0);
}

function taskLine({ reference, accounting }: Unit): string {
  const { exit_code, signal } = accounting;
  return [
    reference.task,
    accounting.job_id,
    accounting.state,
    exit_code === undefined ? undefined : `${exit_code}:${signal ?? 0}`,
    accounting.elapsed_seconds,
    accounting.cpu_seconds,
    accounting.max_rss_bytes,
    accounting.node_list,
  ].map((value) => value ?? "-").join(" ");
}

/** Returns what several tasks or components have in common, and the sums of what they used. */
function shared(units: readonly Unit[]): Accounting {
  const all = units.map(({ accounting }) => accounting);
  const [first] = all;
  if (first === undefined) return {};
  const same = <Key extends keyof Accounting>(key: Key) =>
    all.every((one) => one[key] === first[key]) ? first[key] : undefined;
  const sum = (key: "elapsed_seconds" | "cpu_seconds") =>
    all.some((one) => one[key] !== undefined)
      ? Math.round(all.reduce((total, one) => total + (one[key] ?? 0), 0) * 1000) / 1000
      : undefined;
  const times = (key: "submit" | "start" | "end") =>
    all.map((one) => one[key]).filter((time) => time !== undefined).sort();
  const rss = all.reduce((most, one) => Math.max(most, one.max_rss_bytes ?? -1), -1);
  return compact({
    cluster: same("cluster"),
    partition: same("partition"),
    qos: same("qos"),
    submit: times("submit")[0],
    start: times("start")[0],
    end: times("end").at(-1),
    elapsed_seconds: sum("elapsed_seconds"),
    time_limit_seconds: same("time_limit_seconds"),
    cpu_seconds: sum("cpu_seconds"),
    max_rss_bytes: rss < 0 ? undefined : rss,
    requested_cpus: same("requested_cpus"),
    allocated_cpus: same("allocated_cpus"),
    requested_memory_bytes: same("requested_memory_bytes"),
    nodes: same("nodes"),
  });
}

/** Names that Slurm puts where there is none are left out. */
function named(text: string | undefined): string | undefined {
  return text === undefined || ["", "None assigned", "Unknown", "(null)"].includes(text)
    ? undefined
    : text;
}

function isoTime(text: string | undefined): string | undefined {
  const seconds = parseTime(text);
  if (seconds === undefined) return undefined;
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** Leaves out what is undefined. */
function compact<Fields extends object>(
  fields: { [Key in keyof Fields]: Fields[Key] | undefined },
): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Fields;
}
