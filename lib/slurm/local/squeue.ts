import type { Context } from "./context.ts";
import { mebibytes } from "./environment.ts";
import { cpusOf, entriesOf, type Entry, isEnded, type Job, partOfRawId, shownId } from "./job.ts";
import { formatShortDuration, formatTime } from "./times.ts";
import {
  dependencyOf,
  elapsedOf,
  jobById,
  listedJobs,
  lookAround,
  nodesOf,
  reasonOf,
  shortState,
  shownState,
  type Surroundings,
} from "./view.ts";
import { type Grammar, readWords, Refusal } from "./words.ts";

const GRAMMAR: Grammar = {
  program: "squeue",
  options: [
    "Format O =",
    "account A =",
    "all a",
    "array r",
    "array-unique",
    "clusters M =",
    "federation",
    "format o =",
    "jobs j =",
    "local",
    "me",
    "name n =",
    "noheader h",
    "partition p =",
    "qos q =",
    "sibling",
    "sort S =",
    "states t =",
    "user u =",
    "version V",
  ],
  stopsAtOperand: false,
  refusalCode: 1,
};

/** A column: its name with `--Format`, its heading, and its value. */
type Column = readonly [string, string, (entry: Entry, around: Around) => string];

interface Around extends Surroundings {
  time(seconds: number | undefined): string;
}

const COLUMNS: Readonly<Record<string, Column>> = {
  A: ["JobID", "JOBID", ({ rawId }) => String(rawId)],
  B: ["BatchHost", "EXEC_HOST", (entry) => nodesOf(entry) || "n/a"],
  C: ["NumCPUs", "CPUS", ({ job }) => String(cpusOf(job.spec))],
  D: ["NumNodes", "NODES", () => "1"],
  E: ["Dependency", "DEPENDENCY", dependencyOf],
  F: ["ArrayJobID", "ARRAY_JOB_ID", ({ job }) => String(job.spec.jobId)],
  K: ["ArrayTaskID", "ARRAY_TASK_ID", ({ task, tasks }) => String(task ?? tasks ?? "N/A")],
  L: ["TimeLeft", "TIME_LEFT", timeLeft],
  M: ["TimeUsed", "TIME", (entry, { now }) => formatShortDuration(elapsedOf(entry, now))],
  N: ["NodeList", "NODELIST", nodesOf],
  P: ["Partition", "PARTITION", ({ job }) => job.spec.partition],
  Q: ["PriorityLong", "PRIORITY", ({ part }) => part.held === true ? "0" : "1"],
  R: ["ReasonList", "NODELIST(REASON)", nodesOrReason],
  S: ["StartTime", "START_TIME", ({ part, job }, { time }) => time(part.start ?? job.spec.begin)],
  T: ["State", "STATE", shownState],
  U: ["UserID", "USER", ({ job }) => String(job.spec.uid)],
  V: ["SubmitTime", "SUBMIT_TIME", ({ job }, { time }) => time(job.spec.submit)],
  Z: ["WorkDir", "WORK_DIR", ({ job }) => job.spec.workDir],
  a: ["Account", "ACCOUNT", ({ job }) => job.spec.account],
  e: ["EndTime", "END_TIME", (entry, { time }) => time(entry.part.end ?? limitOf(entry))],
  i: ["JobArrayID", "JOBID", shownId],
  j: ["Name", "NAME", ({ job }) => job.spec.name],
  k: ["Comment", "COMMENT", ({ job }) => job.spec.comment ?? "(null)"],
  l: ["TimeLimit", "TIME_LIMIT", ({ job: { spec } }) => limitText(spec.minutes)],
  m: ["MinMemory", "MIN_MEMORY", ({ job: { spec } }) => memoryText(spec.memory?.amount)],
  o: ["Command", "COMMAND", ({ job }) => job.spec.command ?? "(null)"],
  p: ["Priority", "PRIORITY", ({ part }) => part.held === true ? "0" : "0.00000000023283"],
  q: ["QOS", "QOS", ({ job }) => job.spec.qos],
  r: ["Reason", "REASON", reasonOf],
  t: ["StateCompact", "ST", (entry) => shortState(shownState(entry))],
  u: ["UserName", "USER", ({ job }) => job.spec.user],
  y: ["Nice", "NICE", ({ job }) => String(job.spec.nice)],
};

/** Columns that only `--Format` has. */
const MORE_COLUMNS: readonly Column[] = [
  ["AllocNodes", "ALLOC_NODES", ({ job }) => job.spec.host],
  ["AllocSID", "ALLOC_SID", ({ job }) => String(job.spec.session)],
  ["Cluster", "CLUSTER", (_, { cluster }) => cluster],
];

const DEFAULT_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";

const STATES = [
  "PENDING",
  "RUNNING",
  "SUSPENDED",
  "COMPLETED",
  "CANCELLED",
  "FAILED",
  "TIMEOUT",
  "NODE_FAIL",
  "PREEMPTED",
  "BOOT_FAIL",
  "DEADLINE",
  "OUT_OF_MEMORY",
  "COMPLETING",
  "CONFIGURING",
  "RESIZING",
  "RESV_DEL_HOLD",
  "REQUEUED",
  "REQUEUE_FED",
  "REQUEUE_HOLD",
  "REVOKED",
  "SIGNALING",
  "SPECIAL_EXIT",
  "STAGE_OUT",
  "STOPPED",
];

/** A piece of a format: text as it stands, or a column with its width (0: as wide as it is). */
interface Field {
  readonly text?: string;
  readonly column?: Column;
  readonly width: number;
  readonly right: boolean;
}

/** Lists jobs, as squeue does, and returns the exit code. */
export function squeue(context: Context, words: readonly string[]): number {
  const { options } = readWords(GRAMMAR, words);
  const value = (name: string) => options.findLast((option) => option.name === name)?.value;
  const has = (name: string) => options.some((option) => option.name === name);
  const long = value("Format");
  const fields = long === undefined
    ? parseFormat(value("format") ?? context.environment["SQUEUE_FORMAT"] ?? DEFAULT_FORMAT)
    : parseLongFormat(long);
  const states = readStates(value("states") ?? context.environment["SQUEUE_STATES"]);
  const around: Around = {
    ...lookAround(context),
    time: (seconds) =>
      seconds === undefined ? "N/A" : formatTime(seconds, context.environment["SLURM_TIME_FORMAT"]),
  };
  const ids = value("jobs");
  const jobs = ids === undefined
    ? listedJobs(context, around).flatMap((job) => entriesOf(job))
    : entriesById(context, around, ids);
  const is = (name: string, actual: string) => {
    const wanted = value(name);
    return wanted === undefined || wanted.split(",").includes(actual);
  };
  const shown = jobs.filter((entry) =>
    (states === undefined || states.has(shownState(entry))) &&
    is("user", entry.job.spec.user) && is("name", entry.job.spec.name) &&
    is("partition", entry.job.spec.partition) && is("account", entry.job.spec.account) &&
    is("qos", entry.job.spec.qos)
  ).flatMap((entry) => has("array") || has("array-unique") ? singleTasks(entry) : [entry]);
  const lines = shown.map((entry) =>
    fields.map((field) => render(field, field.column?.[2](entry, around))).join("")
  );
  const clusters = has("clusters") ? [`CLUSTER: ${around.cluster}`] : [];
  const heading = fields.map((field) => render(field, field.column?.[1])).join("");
  const all = has("noheader") ? lines : [...clusters, heading, ...lines];
  context.out(all.map((line) => `${line}\n`).join(""));
  return 0;
}

function entriesById(context: Context, around: Surroundings, list: string): Entry[] {
  const words = list.split(",").filter((word) => word !== "");
  const found = new Map<string, Entry>();
  let known = 0;
  for (const word of words) {
    const match = /^(\d+)(?:_(\d+))?$/.exec(word);
    if (match === null) throw new Refusal(`squeue: error: Invalid job id: ${word}`);
    const id = Number(match[1]);
    const job = jobById(context, around, id);
    if (job === undefined) continue;
    known++;
    const wanted = match[2] === undefined ? ownTask(job, id) : Number(match[2]);
    for (const entry of entriesOf(job)) {
      if (wanted !== undefined && !entry.keys.includes(wanted)) continue;
      found.set(`${shownId(entry)}`, entry);
    }
  }
  // Of several ids that are not known squeue says nothing (22.05).
  if (known === 0 && words.length === 1) {
    throw new Refusal("slurm_load_jobs error: Invalid job id specified");
  }
  return [...found.values()];
}

/** An id that is a task's own stands for that task alone, and the master's for all. */
function ownTask(job: Job, id: number): number | undefined {
  return id === job.spec.jobId ? undefined : partOfRawId(job, id);
}

/** Returns one record for each task of the rest of an array. */
function singleTasks({ tasks, ...entry }: Entry): Entry[] {
  return tasks === undefined
    ? [entry]
    : entry.keys.map((task) => ({ ...entry, task, keys: [task] }));
}

function readStates(text: string | undefined): Set<string> | undefined {
  if (text?.toLowerCase() === "all") return undefined;
  if (text === undefined || text === "") {
    return new Set(["PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING"]);
  }
  return new Set(
    text.split(",").map((word) => {
      const state = STATES.find((state) =>
        state === word.toUpperCase() || shortState(state) === word.toUpperCase()
      );
      if (state === undefined) {
        throw new Refusal(
          `squeue: error: Invalid job state specified: ${word}\n` +
            `squeue: error: Valid job states include: ${STATES.join(",")}\n`,
        );
      }
      return state;
    }),
  );
}

/** Reads `%.18i %T`: percent, a dot for right-justified, a width, and a letter. */
function parseFormat(format: string): Field[] {
  const fields: Field[] = [];
  let end = 0;
  for (const match of format.matchAll(/%(\.?)(\d*)([A-Za-z])/g)) {
    fields.push({ text: format.slice(end, match.index), width: 0, right: false });
    end = match.index + match[0].length;
    const column = COLUMNS[match[3] ?? ""];
    if (column === undefined) {
      throw new Refusal(
        `squeue: error: The local stand-in has no format specification %${match[3]}`,
      );
    }
    fields.push({ column, width: Number(match[2] || 0), right: match[1] === "." });
  }
  return [...fields, { text: format.slice(end), width: 0, right: false }];
}

/** Reads `JobArrayID:255,State`: names with a width, 20 when none is given. */
function parseLongFormat(format: string): Field[] {
  const columns = [...Object.values(COLUMNS), ...MORE_COLUMNS];
  return format.split(",").map((item) => {
    const [, name = "", right, width] = /^([^:]*)(?::(\.)?(\d*).*)?$/.exec(item.trim()) ?? [];
    const column = columns.find(([other]) => other.toLowerCase() === name.toLowerCase());
    if (column === undefined) {
      throw new Refusal(`squeue: error: Invalid job format specification: ${name}`);
    }
    return { column, width: Number(width || 20), right: right === "." };
  });
}

function render({ text, width, right }: Field, value: string | undefined): string {
  if (value === undefined) return text ?? "";
  if (width === 0) return value;
  const cut = [...value].slice(0, width).join("");
  return right ? cut.padStart(width) : cut.padEnd(width);
}

function nodesOrReason(entry: Entry, around: Surroundings): string {
  const { state } = entry.part;
  if (state === "PENDING") return `(${reasonOf(entry, around)})`;
  return isEnded(state) && entry.part.start === undefined ? "" : nodesOf(entry);
}

function limitText(minutes: number | undefined): string {
  return minutes === undefined ? "UNLIMITED" : formatShortDuration(minutes * 60);
}

function limitOf({ part, job }: Entry): number | undefined {
  return part.start === undefined || job.spec.minutes === undefined
    ? undefined
    : part.start + job.spec.minutes * 60;
}

function timeLeft(entry: Entry, { now }: Surroundings): string {
  const { minutes } = entry.job.spec;
  if (minutes === undefined) return "UNLIMITED";
  return formatShortDuration(Math.max(0, minutes * 60 - elapsedOf(entry, now)));
}

function memoryText(amount: string | undefined): string {
  return amount === undefined ? "0" : `${mebibytes(amount)}M`;
}
