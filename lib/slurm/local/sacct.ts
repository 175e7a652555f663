import type { Context } from "./context.ts";
import { mebibytes } from "./environment.ts";
import { cpusOf, entriesOf, type Entry, type Job, partOfRawId, shownId } from "./job.ts";
import { doneSince, jobsOf } from "./store.ts";
import { formatDuration, formatTime, parseMoment } from "./times.ts";
import { elapsedOf, exitOf, jobById, lookAround, reasonOf, type Surroundings } from "./view.ts";
import { type Grammar, readWords, Refusal } from "./words.ts";

const GRAMMAR: Grammar = {
  program: "sacct",
  options: [
    "accounts A =",
    "allclusters L",
    "allocations X",
    "allusers a",
    "brief b",
    "clusters M =",
    "cluster =",
    "delimiter =",
    "duplicates D",
    "endtime E =",
    "format o =",
    "jobs j =",
    "local-only",
    "name =",
    "noconvert",
    "noheader n",
    "parsable p",
    "parsable2 P",
    "partition r =",
    "qos q =",
    "starttime S =",
    "state s =",
    "uid u =",
    "user =",
    "version V",
  ],
  stopsAtOperand: false,
  refusalCode: 1,
};

/** A row: a record, or the batch step that it has when it was started. */
interface Row {
  readonly entry: Entry;
  readonly isStep: boolean;
}

interface Around extends Surroundings {
  time(seconds: number | undefined, otherwise: string): string;
}

/** A column: its width in a table, and its value in a job's row and in its batch step's. */
type Column = readonly [
  number,
  (entry: Entry, around: Around) => string,
  (entry: Entry, around: Around) => string,
];

const none = () => "";
/** A column that only the job itself has. */
const own = (width: number, value: Column[1]): Column => [width, value, none];
/** A column that is the same for the step. */
const both = (width: number, value: Column[1]): Column => [width, value, value];
/** A column of Slurm's that is empty here. */
const empty = (width: number): Column => [width, none, none];

const COLUMNS: Readonly<Record<string, Column>> = {
  Account: both(10, ({ job }) => job.spec.account),
  AdminComment: empty(19),
  AllocCPUS: both(10, (entry) => allocatedCpus(entry)),
  AllocNodes: both(10, ({ part }) => part.start === undefined ? "0" : "1"),
  AllocTRES: both(10, (entry) => entry.part.start === undefined ? "" : tres(entry)),
  AssocID: own(7, () => "0"),
  AveCPU: empty(10),
  AveRSS: [10, none, maxRss],
  AveVMSize: empty(10),
  Cluster: both(10, (_, { cluster }) => cluster),
  Comment: own(14, ({ job }) => job.spec.comment ?? ""),
  Constraints: empty(19),
  CPUTime: both(10, (entry, { now }) => formatDuration(cpuTime(entry, now))),
  CPUTimeRAW: both(10, (entry, { now }) => String(cpuTime(entry, now))),
  DerivedExitCode: own(15, () => "0:0"),
  Elapsed: both(10, (entry, { now }) => formatDuration(elapsedOf(entry, now))),
  ElapsedRaw: both(10, (entry, { now }) => String(elapsedOf(entry, now))),
  Eligible: own(19, ({ job }, { time }) => time(job.spec.begin ?? job.spec.submit, "Unknown")),
  End: both(19, ({ part }, { time }) => time(part.end, "Unknown")),
  ExitCode: [8, exitOf, stepExit],
  Flags: empty(20),
  GID: own(6, ({ job }) => String(job.spec.gid)),
  Group: own(9, ({ job }) => job.spec.group),
  JobID: [12, shownId, (entry) => `${shownId(entry)}.batch`],
  JobIDRaw: [12, ({ rawId }) => String(rawId), ({ rawId }) => `${rawId}.batch`],
  JobName: [10, ({ job }) => job.spec.name, () => "batch"],
  Layout: [9, none, () => "Unknown"],
  MaxRSS: [10, none, maxRss],
  MaxVMSize: empty(10),
  NCPUS: both(10, (entry) => allocatedCpus(entry)),
  NNodes: both(8, () => "1"),
  NodeList: both(15, ({ part, job }) => part.start === undefined ? "None assigned" : job.spec.host),
  NTasks: [8, none, () => "1"],
  Partition: own(10, ({ job }) => job.spec.partition),
  Priority: own(10, ({ part }) => part.held === true ? "0" : "1"),
  QOS: own(10, ({ job }) => job.spec.qos),
  QOSRAW: own(10, () => "0"),
  Reason: own(22, reason),
  ReqCPUS: both(8, ({ job }) => String(cpusOf(job.spec))),
  ReqMem: own(10, ({ job }) => requestedMemory(job)),
  ReqNodes: own(8, () => "1"),
  ReqTRES: own(10, tres),
  Reservation: empty(20),
  ResvCPU: own(10, (entry) => formatDuration(waited(entry))),
  Start: both(
    19,
    ({ part }, { time }) => time(part.start, part.state === "PENDING" ? "Unknown" : "None"),
  ),
  State: [10, stateOf, stepState],
  Submit: both(19, ({ job }, { time }) => time(job.spec.submit, "Unknown")),
  SubmitLine: own(20, ({ job }) => job.spec.submitLine),
  Suspended: both(10, () => "00:00:00"),
  SystemComment: empty(19),
  SystemCPU: empty(10),
  Timelimit: own(
    10,
    ({ job: { spec } }) =>
      spec.minutes === undefined ? "UNLIMITED" : formatDuration(spec.minutes * 60),
  ),
  TimelimitRaw: own(10, ({ job: { spec } }) => spec.minutes?.toString() ?? "UNLIMITED"),
  TotalCPU: both(10, ({ part }) => totalCpu(part.cpuSeconds ?? 0)),
  UID: own(6, ({ job }) => String(job.spec.uid)),
  User: own(9, ({ job }) => job.spec.user),
  UserCPU: empty(10),
  WCKey: empty(10),
  WorkDir: own(20, ({ job }) => job.spec.workDir),
};

const DEFAULT_FORMAT = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode";
const BRIEF_FORMAT = "JobID,State,ExitCode";

const STATES: Readonly<Record<string, string>> = {
  BF: "BOOT_FAIL",
  CA: "CANCELLED",
  CD: "COMPLETED",
  DL: "DEADLINE",
  F: "FAILED",
  NF: "NODE_FAIL",
  OOM: "OUT_OF_MEMORY",
  PD: "PENDING",
  PR: "PREEMPTED",
  R: "RUNNING",
  RQ: "REQUEUED",
  RS: "RESIZING",
  RV: "REVOKED",
  S: "SUSPENDED",
  TO: "TIMEOUT",
};

/** Shows what is known of jobs, as sacct does, and returns the exit code. */
export function sacct(context: Context, words: readonly string[]): number {
  const { options, operands } = readWords(GRAMMAR, words);
  if (operands.length > 0) throw new Refusal(`sacct: error: Unknown arguments: ${operands[0]}`);
  const value = (name: string) => options.findLast((option) => option.name === name)?.value;
  const has = (name: string) => options.some((option) => option.name === name);
  const format = value("format") ?? context.environment["SACCT_FORMAT"] ??
    (has("brief") ? BRIEF_FORMAT : DEFAULT_FORMAT);
  const columns = format.split(",").filter((item) => item !== "").map(readColumn);
  const around: Around = {
    ...lookAround(context),
    time: (seconds, otherwise) =>
      seconds === undefined
        ? otherwise
        : formatTime(seconds, context.environment["SLURM_TIME_FORMAT"]),
  };
  const states = value("state")?.split(",").map(readState);
  const is = (name: string, actual: string) => {
    const wanted = value(name);
    return wanted === undefined || wanted.split(",").includes(actual);
  };
  const isUser = ({ job: { spec } }: Entry) =>
    is("user", spec.user) && (is("uid", spec.user) || is("uid", String(spec.uid)));
  const ids = value("jobs");
  const entries = ids === undefined
    ? search(context, around, value("starttime"), value("endtime"))
    : entriesById(context, around, ids);
  const rows = entries.filter((entry) =>
    (states === undefined || states.includes(entry.part.state)) && isUser(entry) &&
    is("name", entry.job.spec.name) && is("partition", entry.job.spec.partition) &&
    is("accounts", entry.job.spec.account) && is("qos", entry.job.spec.qos)
  ).flatMap((entry): Row[] =>
    has("allocations") || entry.part.start === undefined
      ? [{ entry, isStep: false }]
      : [{ entry, isStep: false }, { entry, isStep: true }]
  );
  const table = rows.map(({ entry, isStep }) =>
    columns.map(({ column }) => column[isStep ? 2 : 1](entry, around))
  );
  const isParsable = has("parsable") || has("parsable2");
  const delimiter = value("delimiter") ?? "|";
  const line = (cells: readonly string[]) =>
    isParsable
      ? cells.join(delimiter) + (has("parsable2") ? "" : delimiter)
      : cells.map((cell, at) => fixed(cell, columns[at])).join(" ") + " ";
  const heading = has("noheader") ? [] : [
    line(columns.map(({ name }) => name)),
    ...(isParsable ? [] : [columns.map(({ width }) => "-".repeat(width)).join(" ") + " "]),
  ];
  context.out([...heading, ...table.map(line)].map((text) => `${text}\n`).join(""));
  return 0;
}

interface ChosenColumn {
  readonly name: string;
  readonly column: Column;
  readonly width: number;
  readonly left: boolean;
}

/** Reads `JobName%30` or `JobID`: a column with a width, negative for left-justified. */
function readColumn(item: string): ChosenColumn {
  const [, wanted = "", minus, width] = /^([^%]*)(?:%(-)?(\d+))?$/.exec(item.trim()) ?? [];
  const found = Object.entries(COLUMNS).find(([name]) =>
    name.toLowerCase() === wanted.toLowerCase()
  );
  if (found === undefined) throw new Refusal(`sacct: error: Invalid field requested: "${wanted}"`);
  const [name, column] = found;
  return {
    name,
    column,
    width: width === undefined ? column[0] : Number(width),
    left: minus === "-" || name === "JobID" || name === "JobIDRaw",
  };
}

function readState(word: string): string {
  const upper = word.toUpperCase();
  const state = STATES[upper] ?? Object.values(STATES).find((state) => state === upper);
  if (state === undefined) {
    throw new Refusal(`sacct: fatal: unrecognized job state value '${word}'`);
  }
  return state;
}

function fixed(cell: string, column: ChosenColumn | undefined): string {
  const width = column?.width ?? 10;
  const cut = cell.length > width ? `${cell.slice(0, width - 1)}+` : cell;
  return column?.left === true ? cut.padEnd(width) : cut.padStart(width);
}

function entriesById(context: Context, around: Surroundings, list: string): Entry[] {
  const found = new Map<string, Entry>();
  for (const word of list.split(",")) {
    const match = /^(\d+)(?:_(\d+))?(?:\.\w+)?$/.exec(word);
    const element = /^(\d+)_\[/.exec(word)?.[1];
    if (element !== undefined) {
      throw new Refusal(`sacct: fatal: Bad job array element specified: ${element}`);
    }
    if (match === null) throw new Refusal(`sacct: fatal: Bad job/step specified: ${word}`);
    const id = Number(match[1]);
    const job = jobById(context, around, id);
    if (job === undefined) continue;
    const wanted = match[2] !== undefined
      ? Number(match[2])
      : id === job.spec.jobId
      ? undefined
      : partOfRawId(job, id);
    for (const entry of entriesOf(job)) {
      if (wanted === undefined || entry.task === wanted || entry.keys.includes(wanted)) {
        found.set(shownId(entry), entry);
      }
    }
  }
  return [...found.values()];
}

/** Returns the records that were there at some time between two, from midnight on by default. */
function search(
  context: Context,
  around: Surroundings,
  from: string | undefined,
  to: string | undefined,
): Entry[] {
  const since = readMoment(from ?? "midnight", around.now);
  const until = readMoment(to ?? "now", around.now);
  const known = new Set(around.live.map(({ spec }) => spec.jobId));
  const ended = doneSince(context.store, since).filter((id) => !known.has(id));
  return [...around.live, ...jobsOf(context.store, ended)]
    .filter(({ spec }) => spec.submit <= until)
    .flatMap((job) => entriesOf(job))
    .filter(({ part }) => (part.end ?? around.now) >= since);
}

function readMoment(text: string, now: number): number {
  const moment = parseMoment(text, now);
  if (moment === undefined) throw new Refusal(`Invalid time specification (pos=0): ${text}`);
  return moment;
}

function stateOf({ part }: Entry): string {
  return part.state === "CANCELLED" && part.cancelledBy !== undefined
    ? `CANCELLED by ${part.cancelledBy}`
    : part.state;
}

/** The batch step ends by itself or by a signal, whatever became of the job. */
function stepState({ part }: Entry): string {
  if (part.state === "RUNNING") return "RUNNING";
  if ((part.signal ?? 0) > 0) return "CANCELLED";
  if (part.state === "NODE_FAIL") return "NODE_FAIL";
  return (part.code ?? 0) > 0 ? "FAILED" : "COMPLETED";
}

function stepExit({ part }: Entry): string {
  return `${part.code ?? 0}:${part.signal ?? 0}`;
}

function reason(entry: Entry, around: Surroundings): string {
  return entry.part.state === "PENDING" ? reasonOf(entry, around) : entry.part.reason ?? "None";
}

function allocatedCpus({ part, job }: Entry): string {
  return part.start === undefined ? "0" : String(cpusOf(job.spec));
}

function cpuTime(entry: Entry, now: number): number {
  return elapsedOf(entry, now) * cpusOf(entry.job.spec);
}

function tres({ job: { spec } }: Entry): string {
  const memory = spec.memory === undefined ? "" : `mem=${mebibytes(spec.memory.amount)}M,`;
  return `billing=${cpusOf(spec)},cpu=${cpusOf(spec)},${memory}node=1`;
}

function requestedMemory({ spec }: Job): string {
  if (spec.memory === undefined) return "0";
  const factor = spec.memory.per === "cpu" ? cpusOf(spec) : 1;
  return `${Number(mebibytes(spec.memory.amount)) * factor}M`;
}

function maxRss({ part }: Entry): string {
  return part.rssKib === undefined ? "" : `${part.rssKib}K`;
}

function totalCpu(seconds: number): string {
  if (seconds === 0) return "00:00:00";
  const whole = formatDuration(seconds);
  const rest = String(Math.round(seconds * 1000) % 1000).padStart(3, "0");
  return seconds < 3600 ? `${whole.slice(3)}.${rest}` : whole;
}

function waited({ part, job }: Entry): number {
  return Math.max(0, (part.start ?? job.spec.submit) - job.spec.submit);
}
