import {
  type JobReference,
  type MemoryAmount,
  named,
  parseCount,
  parseDuration,
  parseExit,
  parseMemory,
  parseReference,
  parseTime,
} from "./fields.ts";
import { IndexSet } from "./array.ts";
import { larger, smaller } from "./extremes.ts";
import { classifyState } from "./states.ts";
import type { TableRow } from "./table.ts";

/** What accounting knows of one job, task or component, as it goes into a record. */
export interface Accounting {
  /** Slurm's own id of the record; of an array task not the master's. */
  job_id?: string;
  cluster?: string;
  partition?: string;
  /** In older records; it is told at the submission. */
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
  /** The largest resident set of one process group that srun has started: a task of a step. */
  max_rss_bytes?: number;
  /** The largest resident sets of all tasks of one step together, where it has several. */
  step_rss_bytes?: number;
  requested_cpus?: number;
  allocated_cpus?: number;
  requested_memory_bytes?: number;
  nodes?: number;
  node_list?: string;
}

/** What accounting knows of one job. Of an array: sums of what its tasks used, and the tasks. */
export interface JobAccounting extends Accounting {
  /** The version of Slurm's programs at the finish; absent for a job of another cluster. */
  slurm_version?: string;
  task_count?: number;
  /** Task indices by state in Slurm's notation: `{ "COMPLETED": "0-4,7" }`. */
  task_states?: Record<string, string>;
  /**
   * One line a task, with the words that {@link TASK_LINE} names. Of an array of more than 1000 only
   * tasks that did not complete, 1000 at most, the one that took longest and the largest.
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
  "step_rss_bytes",
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
 * What the rows of one accounting query (allocations, each followed by its steps) say about the jobs
 * asked for. Of an array only what its record will have is kept, however many tasks it has.
 */
export class Accounts {
  readonly #jobIds: ReadonlySet<string>;
  readonly #notBefore: ReadonlyMap<string, number>;
  readonly #jobs = new Map<string, JobRows>();

  /**
   * A row submitted before `notBefore` gives for its job, in seconds since 1970, is of an earlier use
   * of the id and left out.
   */
  constructor(
    jobIds: ReadonlySet<string>,
    notBefore: ReadonlyMap<string, number> = new Map(),
  ) {
    this.#jobIds = jobIds;
    this.#notBefore = notBefore;
  }

  /** Takes the next row. */
  add(row: TableRow): void {
    const reference = parseReference(row["JobID"] ?? "");
    const raw = /^\d+/.exec(row["JobIDRaw"] ?? "")?.[0];
    if (reference === undefined || raw === undefined) return;
    const jobId = this.#jobIds.has(reference.jobId) ? reference.jobId : raw;
    if (!this.#jobIds.has(jobId)) return;
    if (reference.step !== undefined) {
      this.#jobs.get(jobId)?.addStep(reference, row);
      return;
    }
    if ((parseTime(row["Submit"]) ?? Infinity) < (this.#notBefore.get(jobId) ?? 0)) return;
    const own = this.#jobs.get(jobId) ?? new JobRows();
    this.#jobs.set(jobId, own);
    own.add({ reference, accounting: allocation(row, raw) });
  }

  /** Returns what the rows so far say, by job id. */
  result(): Map<string, JobAccounting> {
    return new Map([...this.#jobs].map(([jobId, rows]) => [jobId, rows.result()]));
  }
}

/** The rows of one job. */
class JobRows {
  /** The job, its components, and the records of tasks that wait; never many. */
  readonly #units = new Map<string, Unit>();
  readonly #tasks = new TaskRows();

  add(unit: Unit): void {
    if (unit.reference.task === undefined) this.#units.set(keyOf(unit.reference), unit);
    else this.#tasks.add(unit);
  }

  addStep(reference: JobReference, row: TableRow): void {
    const used: StepMemory = {
      ofTask: parseMemory(row["MaxRSS"])?.bytes,
      ofStep: product(parseMemory(row["AveRSS"])?.bytes, parseCount(row["NTasks"])),
    };
    if (reference.task !== undefined) this.#tasks.addStep(reference.task, used);
    else raise(this.#units.get(keyOf(reference))?.accounting, used);
  }

  result(): JobAccounting {
    const units = [...this.#units.values()];
    const [first] = units;
    const isArray = this.#tasks.count > 0 ||
      units.some(({ reference }) => reference.tasks !== undefined);
    if (isArray) return this.#tasks.result(units);
    if (first?.reference.component === undefined) return first?.accounting ?? {};
    const common = new Common();
    for (const { accounting } of units) common.add(accounting);
    return compact({
      ...common.result(),
      components: Object.fromEntries(
        units.map(({ reference, accounting }) => [String(reference.component ?? 0), accounting]),
      ),
    });
  }
}

/** The tasks of an array that have records of their own. */
class TaskRows {
  readonly #common = new Common();
  readonly #states = new Map<string, IndexSet>();
  readonly #all = new IndexSet();
  /** The tasks that a line is kept of. */
  #listed: Unit[] = [];
  /** The task whose steps are being read. */
  #last: Unit | undefined;
  #longest: Unit | undefined;
  #largest: Unit | undefined;

  get count(): number {
    return this.#all.size;
  }

  add(unit: Unit): void {
    const { reference: { task = 0 }, accounting } = unit;
    if (this.#all.has(task)) return;
    this.#endTask();
    this.#last = unit;
    this.#all.add(task);
    const state = accounting.state ?? "UNKNOWN";
    const indices = this.#states.get(state) ?? new IndexSet();
    this.#states.set(state, indices);
    indices.add(task);
    if (this.count === MOST_TASK_LINES + 1) this.#listed = this.#listed.filter(didNotComplete);
    const isListed = this.count <= MOST_TASK_LINES ||
      didNotComplete(unit) && this.#listed.length < MOST_TASK_LINES;
    if (isListed) this.#listed.push(unit);
  }

  /** Steps follow their task. */
  addStep(task: number, used: StepMemory): void {
    if (this.#last?.reference.task === task) raise(this.#last.accounting, used);
  }

  #endTask(): void {
    const last = this.#last;
    if (last === undefined) return;
    this.#common.add(last.accounting);
    this.#longest = withMore("elapsed_seconds", this.#longest, last);
    this.#largest = withMore("max_rss_bytes", this.#largest, last);
    this.#last = undefined;
  }

  /** Returns what the tasks and the records of those that wait say together. */
  result(waiting: readonly Unit[]): JobAccounting {
    this.#endTask();
    const states = new Map([...this.#states].map(([state, indices]) => [state, `${indices}`]));
    for (const { reference, accounting } of waiting) {
      this.#common.add(accounting);
      const state = accounting.state ?? "UNKNOWN";
      const list = (reference.tasks ?? "").replace(/%.*$/, "");
      const before = states.get(state);
      states.set(state, before === undefined ? list : `${before},${list}`);
    }
    return compact({
      ...this.#common.result(),
      task_count: this.count,
      task_states: Object.fromEntries(states),
      tasks: [...new Set([...this.#listed, this.#longest, this.#largest])]
        .filter((unit) => unit !== undefined).sort(byIndex).map(taskLine),
    });
  }
}

/** Returns the task that has more of something; the first one of several. */
function withMore(
  field: "elapsed_seconds" | "max_rss_bytes",
  one: Unit | undefined,
  other: Unit,
): Unit | undefined {
  return (other.accounting[field] ?? 0) > (one?.accounting[field] ?? 0) ? other : one;
}

function didNotComplete({ accounting }: Unit): boolean {
  return accounting.state !== "COMPLETED";
}

/** What several tasks or components have in common, and the sums of what they used. */
class Common {
  #same: Accounting | undefined;
  #elapsed: number | undefined;
  #cpu: number | undefined;
  #rss: number | undefined;
  #stepRss: number | undefined;
  #submit: string | undefined;
  #start: string | undefined;
  #end: string | undefined;

  add(one: Accounting): void {
    const first = this.#same ?? one;
    this.#same = Object.fromEntries(
      SHARED.filter((key) => first[key] === one[key]).map((key) => [key, one[key]]),
    );
    this.#elapsed = sum(this.#elapsed, one.elapsed_seconds);
    this.#cpu = sum(this.#cpu, one.cpu_seconds);
    this.#rss = larger(this.#rss, one.max_rss_bytes);
    this.#stepRss = larger(this.#stepRss, one.step_rss_bytes);
    this.#submit = smaller(this.#submit, one.submit);
    this.#start = smaller(this.#start, one.start);
    this.#end = larger(this.#end, one.end);
  }

  result(): Accounting {
    const same = this.#same ?? {};
    return compact({
      cluster: same.cluster,
      partition: same.partition,
      submit: this.#submit,
      start: this.#start,
      end: this.#end,
      elapsed_seconds: thousandths(this.#elapsed),
      time_limit_seconds: same.time_limit_seconds,
      cpu_seconds: thousandths(this.#cpu),
      max_rss_bytes: this.#rss,
      step_rss_bytes: this.#stepRss,
      requested_cpus: same.requested_cpus,
      allocated_cpus: same.allocated_cpus,
      requested_memory_bytes: same.requested_memory_bytes,
      nodes: same.nodes,
    });
  }
}

/** What several tasks or components can have in common. */
const SHARED = [
  "cluster",
  "partition",
  "time_limit_seconds",
  "requested_cpus",
  "allocated_cpus",
  "requested_memory_bytes",
  "nodes",
] as const;

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? a ?? b : a + b;
}

function thousandths(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.round(seconds * 1000) / 1000;
}

function keyOf({ jobId, tasks, component }: JobReference): string {
  return `${jobId}_${tasks ?? ""}+${component ?? ""}`;
}

function allocation(row: TableRow, raw: string): Accounting {
  const exit = parseExit(row["ExitCode"]);
  const allocated = parseCount(row["AllocCPUS"]);
  const minutes = parseCount(row["TimelimitRaw"]);
  // Zero in a row that slurmdbd has not completed yet (22.05), which may be so after the end.
  const requested = parseCount(row["ReqCPUS"]) || undefined;
  return compact({
    job_id: raw,
    cluster: named(row["Cluster"]),
    partition: named(row["Partition"]),
    priority: requested === undefined ? undefined : parseCount(row["Priority"]),
    state: classifyState(row["State"] ?? "").word,
    exit_code: exit?.code,
    signal: exit?.signal,
    derived_exit_code: parseExit(row["DerivedExitCode"])?.code,
    submit: isoTime(parseTime(row["Submit"])),
    start: isoTime(parseTime(row["Start"])),
    end: isoTime(parseTime(row["End"])),
    elapsed_seconds: parseCount(row["ElapsedRaw"]),
    time_limit_seconds: minutes === undefined ? undefined : minutes * 60,
    cpu_seconds: parseDuration(row["TotalCPU"]),
    max_rss_bytes: parseMemory(row["MaxRSS"])?.bytes,
    requested_cpus: requested,
    allocated_cpus: allocated,
    requested_memory_bytes: requestedMemory(row, allocated),
    nodes: parseCount(row["NNodes"]),
    node_list: named(row["NodeList"]),
  });
}

/** What a step has used, in bytes: its largest task, and all of its tasks together. */
interface StepMemory {
  readonly ofTask: number | undefined;
  readonly ofStep: number | undefined;
}

function product(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a * b;
}

function raise(accounting: Accounting | undefined, { ofTask, ofStep }: StepMemory): void {
  if (accounting === undefined) return;
  if (ofTask !== undefined) {
    accounting.max_rss_bytes = Math.max(accounting.max_rss_bytes ?? 0, ofTask);
  }
  if (ofStep !== undefined && ofStep > (ofTask ?? 0)) {
    accounting.step_rss_bytes = Math.max(accounting.step_rss_bytes ?? 0, ofStep);
  }
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

/** Returns a time in seconds since 1970 as accounting is recorded: `2026-11-22T14:02:19Z`. */
export function isoTime(seconds: number | undefined): string | undefined {
  if (seconds === undefined) return undefined;
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** Leaves out what is undefined. */
export function compact<Fields extends object>(
  fields: { [Key in keyof Fields]: Fields[Key] | undefined },
): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Fields;
}
