import {
  type ExitStatus,
  type JobReference,
  parseDuration,
  parseExit,
  parseTime,
} from "./fields.ts";

/** One job record of `scontrol show job`; what scontrol shows as `(null)` or `N/A` is absent. */
export interface ScontrolJob {
  /** The record's own id; of an array task the raw id. */
  readonly jobId: string;
  /** What the record stands for, in sacct's terms. */
  readonly reference: JobReference;
  readonly arrayJobId?: string;
  /** `3`, or the tasks that are still one record: `0,4,7-9%3`. */
  readonly arrayTaskId?: string;
  /** How many of the array's tasks may run at a time. */
  readonly arrayTaskThrottle?: number;
  readonly hetJobId?: string;
  readonly hetJobOffset?: number;
  readonly jobName?: string;
  /** The state's word; absent when hostile text makes the record ambiguous. */
  readonly state?: string;
  readonly reason?: string;
  readonly dependency?: string;
  readonly requeue?: boolean;
  readonly restarts?: number;
  /** Right for every exit code, 128 and above too, where sacct before 25.11 is not. */
  readonly exit?: ExitStatus;
  /** Times in seconds since 1970. */
  readonly submit?: number;
  readonly start?: number;
  readonly end?: number;
  readonly timeLimitSeconds?: number;
  readonly partition?: string;
  readonly account?: string;
  readonly qos?: string;
  /** The host and session that sbatch ran in. */
  readonly allocNode?: string;
  readonly allocSid?: string;
  readonly numNodes?: number;
  readonly numCpus?: number;
  /** What is requested: `cpu=1,mem=1M,node=1,billing=1`. */
  readonly tres?: string;
  readonly nodeList?: string;
  /** The script and its arguments. */
  readonly command?: string;
  readonly workDir?: string;
  readonly stdErr?: string;
  readonly stdIn?: string;
  readonly stdOut?: string;
}

/** Returns the argv that shows one job; scontrol takes no list of ids (22.05). */
export function describeArgv(jobId: string, cluster?: string): string[] {
  const clusters = cluster === undefined ? [] : [`--clusters=${cluster}`];
  return ["scontrol", ...clusters, "show", "job", jobId];
}

/** Returns the argv of a scontrol that is told on stdin what to show. */
export function describeManyArgv(cluster?: string): string[] {
  return ["scontrol", ...(cluster === undefined ? [] : [`--clusters=${cluster}`])];
}

/**
 * Returns what to tell it. It prints its prompt and what it was told before each answer, on a line
 * of their own (22.05); built without readline, the prompt alone, and the answer on the same line.
 */
export function describeManyInput(jobIds: readonly string[]): string {
  return [...jobIds.map((jobId) => `show job ${jobId}`), "quit", ""].join("\n");
}

/**
 * Returns the records of `scontrol show job`, in lines or with `-o`. A record starts with
 * `JobId=572 HetJobId=572 … JobName=ok.sh`; its state is the word in
 * `JobState=COMPLETED Reason=None Dependency=(null)`, followed by `Requeue=`. JobName, Comment,
 * Command and WorkDir come through raw (22.05), so a text that imitates these is told apart by
 * position, and where that is not possible the field is left out. Two records of one id are both
 * left out. "Job 516_77 not found" on stdout is no record.
 */
export function parseScontrolJobs(stdout: string): ScontrolJob[] {
  // Behind the last field of a record, which may be a path (24.11), it would be taken for a part of it.
  const told = stdout.replaceAll(PROMPT, "");
  const jobs = told.split(/^(?=JobId=\d+ )/m).flatMap((record) => parseRecord(record) ?? []);
  const seen = new Map<string, number>();
  for (const { jobId } of jobs) seen.set(jobId, (seen.get(jobId) ?? 0) + 1);
  return jobs.filter(({ jobId }) => seen.get(jobId) === 1);
}

/** The prompts before an answer, with what it was told, and an answer that is no record. */
const PROMPT =
  /^(?:scontrol: )+(?:(?:(?:show job \d+\n)?Job \S+ not found|show job \d+|quit)?$|(?=JobId=\d+ ))/gm;

function parseRecord(record: string): ScontrolJob | undefined {
  // The words before the name are Slurm's own; versions differ in which there are.
  const head = /^JobId=(\d+) ((?:(?!JobName=)\w+=\S* )*)JobName=/.exec(record);
  const jobId = head?.[1];
  if (head === null || jobId === undefined) return undefined;
  const ofHead = (name: string) => new RegExp(`(?:^| )${name}=(\\S+) `).exec(head[2] ?? "")?.[1];
  const [arrayJobId, arrayTaskId] = [ofHead("ArrayJobId"), ofHead("ArrayTaskId")];
  const [hetJobId, hetJobOffset] = [ofHead("HetJobId"), ofHead("HetJobOffset")];
  const throttle = Number(ofHead("ArrayTaskThrottle") ?? 0);
  const block = stateBlock(record);
  const separator = separatorOf(record);
  return withoutUndefined({
    jobId,
    reference: reference(jobId, arrayJobId, arrayTaskId, hetJobId, hetJobOffset),
    arrayJobId,
    arrayTaskId,
    arrayTaskThrottle: throttle > 0 ? throttle : undefined,
    hetJobId,
    hetJobOffset: hetJobOffset === undefined ? undefined : Number(hetJobOffset),
    jobName: block && jobName(record.slice(head[0].length, block.start), separator),
    state: block?.state,
    ...accountFields(record.slice(0, block?.start ?? 0)),
    ...(block === undefined ? {} : machineFields(record.slice(block.start), separator)),
    ...(block === undefined ? {} : textFields(record.slice(block.start), separator)),
  }) as unknown as ScontrolJob;
}

function reference(
  jobId: string,
  arrayJobId: string | undefined,
  arrayTaskId: string | undefined,
  hetJobId: string | undefined,
  hetJobOffset: string | undefined,
): JobReference {
  if (arrayJobId !== undefined && arrayTaskId !== undefined) {
    return /^\d+$/.test(arrayTaskId)
      ? { jobId: arrayJobId, task: Number(arrayTaskId) }
      : { jobId: arrayJobId, tasks: arrayTaskId };
  }
  if (hetJobId !== undefined) return { jobId: hetJobId, component: Number(hetJobOffset) };
  return { jobId };
}

/** Finds the line that holds the true state, or undefined when there is none or more than one. */
function stateBlock(record: string): { state: string; start: number } | undefined {
  const strict = [...record.matchAll(/(?<=\s)JobState=(\w+) Reason=\S* Dependency=\S*(?=\s)/g)];
  // In a version whose line has other words, the beginning of the line tells.
  const all = strict.length > 0 ? strict : [...record.matchAll(/^ {3}JobState=(\w+)(?=\s)/gm)];
  const followed = strict.filter((match) =>
    /^\s+Requeue=\d+ Restarts=/.test(record.slice(match.index + match[0].length))
  );
  const [only, ...others] = all.length > 1 ? followed : all;
  if (only?.[1] === undefined || others.length > 0) return undefined;
  return { state: only[1], start: only.index };
}

/** `-o` puts one space where the other form has a new line and three spaces. */
function separatorOf(record: string): string {
  if (/\n {3}(?:UserId|Requeue|Priority)=/.test(record)) return "\\n {3}";
  return /^[^\n]* JobState=/.test(record) ? " " : "\\n";
}

/** Reads the last line `Priority=1 Nice=0 Account=root QOS=normal` before the state. */
function accountFields(text: string): { account?: string | undefined; qos?: string | undefined } {
  const [line = ""] = [...text.matchAll(/\sPriority=\d\S*(?: [A-Z]\w*=\S*)*/g)].at(-1) ?? [];
  const value = (name: string) => meaningful(new RegExp(` ${name}=(\\S+)`).exec(line)?.[1]);
  return { account: value("Account"), qos: value("QOS") };
}

function jobName(text: string, separator: string): string {
  const parts = text.split(new RegExp(`${separator}UserId=`));
  const name = parts.length === 1 ? text : parts.slice(0, -1).join(`${separator}UserId=`);
  return name.replace(/(?: |\n {3})HetJobIdSet=\S+$/, "").replace(/\n$/, "");
}

/** Reads what stands between the state and `Command=`, where no user's text occurs. */
function machineFields(text: string, separator: string): Partial<ScontrolJob> {
  const end = text.search(new RegExp(`${separator}(?:Command|WorkDir)=`));
  const words = (end === -1 ? text : text.slice(0, end)).split(/\s+/);
  const values = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf("=");
    if (at > 0 && !values.has(word.slice(0, at))) values.set(word.slice(0, at), word.slice(at + 1));
  }
  const value = (key: string) => meaningful(values.get(key));
  const number = (key: string) => {
    const text = value(key);
    return text !== undefined && /^\d+/.test(text) ? parseInt(text, 10) : undefined;
  };
  const requeue = value("Requeue");
  const origin = /^(.*):(\d+)$/.exec(value("AllocNode:Sid") ?? "");
  return {
    reason: value("Reason"),
    dependency: value("Dependency"),
    requeue: requeue === undefined ? undefined : requeue !== "0",
    restarts: number("Restarts"),
    exit: parseExit(value("ExitCode")),
    submit: parseTime(value("SubmitTime")),
    start: parseTime(value("StartTime")),
    end: parseTime(value("EndTime")),
    timeLimitSeconds: parseDuration(value("TimeLimit")),
    partition: value("Partition"),
    allocNode: origin?.[1],
    allocSid: origin?.[2],
    numNodes: number("NumNodes"),
    numCpus: number("NumCPUs"),
    // 23.02 and later show what is requested apart from what is allocated.
    tres: value("ReqTRES") ?? value("TRES"),
    nodeList: value("NodeList"),
  } as Partial<ScontrolJob>;
}

/** Reads `Command=`, `WorkDir=` and the log files, each only if it stands there once. */
function textFields(text: string, separator: string): Partial<ScontrolJob> {
  const value = (key: string) => {
    const parts = text.split(new RegExp(`${separator}${key}=`));
    if (parts.length !== 2) return undefined;
    // What follows a path, in lines, is a field of whatever name; the script's arguments are text.
    const next = key === "Command" || separator === " " ? NEXT_FIELD : `${ANY_FIELD}|${NEXT_FIELD}`;
    return meaningful(parts[1]?.split(new RegExp(`${separator}(?:${next})`))[0]?.trimEnd());
  };
  return {
    command: value("Command"),
    workDir: value("WorkDir"),
    stdErr: value("StdErr"),
    stdIn: value("StdIn"),
    stdOut: value("StdOut"),
  } as Partial<ScontrolJob>;
}

const ANY_FIELD = "[A-Z][\\w:/]*=";

/** The fields that follow Command, in 20.11 to 25.11. */
const NEXT_FIELD =
  "(?:WorkDir|Comment|AdminComment|SystemComment|Extra|SubmitLine|StdErr|StdIn|StdOut|Power" +
  "|BurstBuffer\\w*|MailUser|MailType|\\w*Tres\\w*|MemPer\\w+|CpusPer\\w+|Switches|NtasksPerTRES)=" +
  "|$(?![^])|\\nFILE ";

function meaningful(text: string | undefined): string | undefined {
  return text === undefined || ["", "(null)", "N/A", "Unknown"].includes(text) ? undefined : text;
}

function withoutUndefined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
