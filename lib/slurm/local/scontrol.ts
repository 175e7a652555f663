import type { Context } from "./context.ts";
import { hostnames } from "../hostlist.ts";
import { formatIndices, indices, parseArraySpec } from "../array.ts";
import { mebibytes } from "./environment.ts";
import {
  cpusOf,
  entriesOf,
  type Entry,
  isEnded,
  type Job,
  partOfRawId,
  tasksOf,
  WHOLE,
} from "./job.ts";
import { filesOf } from "./launch.ts";
import { changeJob, findJob, makeStore, noteChange, withLock } from "./store.ts";
import { formatDuration, formatTime } from "./times.ts";
import {
  dependencyOf,
  elapsedOf,
  exitOf,
  jobById,
  listedJobs,
  lookAround,
  nodesOf,
  reasonOf,
  shownState,
  type Surroundings,
} from "./view.ts";
import { type Grammar, readWords, Refusal } from "./words.ts";

const GRAMMAR: Grammar = {
  program: "scontrol",
  options: [
    "all a",
    "cluster =",
    "clusters M =",
    "details d",
    "federation F",
    "local",
    "oneliner o",
    "quiet Q",
    "sibling",
    "verbose v",
    "version V",
  ],
  stopsAtOperand: false,
  refusalCode: 1,
};

/** Shows, holds and releases jobs, as scontrol does, and returns the exit code. */
export async function scontrol(context: Context, words: readonly string[]): Promise<number> {
  const { options, operands } = readWords(GRAMMAR, words);
  const isOneLine = options.some(({ name }) => name === "oneliner");
  return operands.length === 0
    ? await converse(context, isOneLine)
    : obey(context, operands, isOneLine);
}

/** Does what the lines of stdin say, with a prompt and the line before each answer (22.05). */
async function converse(context: Context, isOneLine: boolean): Promise<number> {
  const input = await new Response(Deno.stdin.readable).text();
  let code = 0;
  for (const line of input.split("\n").slice(0, -1)) {
    context.out(`scontrol: ${line}\n`);
    const words = line.trim().split(/\s+/).filter((word) => word !== "");
    if (/^(quit|exit)$/.test(words[0] ?? "")) return code;
    if (words.length === 0) continue;
    try {
      code = Math.max(code, obey(context, words, isOneLine));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      context.err(error.message);
      code = 1;
    }
  }
  context.out("scontrol: \n");
  return code;
}

function obey(context: Context, [verb = "", ...rest]: readonly string[], isOneLine: boolean) {
  switch (verb) {
    case "show": {
      const [entity = "", id] = rest;
      if (/^hostnames?$/i.test(entity)) return showHostnames(context, id);
      if (!/^jobs?(id)?$/i.test(entity)) {
        throw new Refusal(`invalid entity:${entity} for keyword:show `);
      }
      return show(context, id, isOneLine);
    }
    case "hold":
    case "uhold":
      return setHeld(context, rest, true);
    case "release":
      return setHeld(context, rest, false);
    case "ping":
      context.out(`Slurmctld(primary) at ${context.host} is UP\n`);
      return 0;
    default:
      if (UNSUPPORTED.has(verb)) {
        throw new Refusal(`scontrol: error: ${verb} is not supported by the local stand-in`);
      }
      throw new Refusal(`invalid keyword: ${verb}`);
  }
}

/** What scontrol does besides (22.05), and what users may try here. */
const UNSUPPORTED = new Set([
  "create",
  "delete",
  "notify",
  "reboot",
  "reconfigure",
  "requeue",
  "requeuehold",
  "resume",
  "suspend",
  "top",
  "update",
  "write",
]);

/** Shows the nodes of a list one a line, as batch scripts ask for; by default those of their job. */
function showHostnames(context: Context, given: string | undefined): number {
  const list = given ?? context.environment["SLURM_JOB_NODELIST"] ??
    context.environment["SLURM_NODELIST"];
  if (list === undefined) context.err("scontrol: error: host list is empty");
  else context.out([...hostnames(list)].map((name) => `${name}\n`).join(""));
  return 0;
}

function show(context: Context, id: string | undefined, isOneLine: boolean): number {
  const around = lookAround(context);
  const entries = id === undefined
    ? listedJobs(context, around).flatMap((job) => entriesOf(job))
    : entriesOfId(context, around, id);
  if (entries === undefined) {
    context.out(`Job ${id} not found\n`);
    return 1;
  }
  if (entries.length === 0) context.out("No jobs in the system\n");
  context.out(entries.map((entry) => describe(context, entry, around, isOneLine)).join(""));
  return 0;
}

/** Returns a job's records, those of a task, or undefined when the job has no such task. */
function entriesOfId(context: Context, around: Surroundings, id: string): Entry[] | undefined {
  const match = /^(\d+)(?:_(\d+))?$/.exec(id);
  const job = match === null ? undefined : jobById(context, around, Number(match[1]));
  if (match === null) {
    throw new Refusal("scontrol_print_job error: Invalid job id specified");
  }
  if (job === undefined) throw new Refusal("slurm_load_jobs error: Invalid job id specified");
  const asked = Number(match[1]);
  const task = match[2] !== undefined
    ? Number(match[2])
    : asked === job.spec.jobId
    ? undefined
    : partOfRawId(job, asked);
  const entries = entriesOf(job).filter(({ keys }) => task === undefined || keys.includes(task));
  return entries.length === 0 ? undefined : entries;
}

function describe(
  context: Context,
  entry: Entry,
  around: Surroundings,
  isOneLine: boolean,
): string {
  const { job: { spec }, part, task, tasks } = entry;
  const time = (seconds: number | undefined) =>
    seconds === undefined
      ? "Unknown"
      : formatTime(seconds, context.environment["SLURM_TIME_FORMAT"]);
  const files = filesOf(entry.job, tasks === undefined ? task ?? WHOLE : undefined);
  const { throttle } = spec.array ?? {};
  const array = spec.array === undefined
    ? ""
    : ` ArrayJobId=${spec.jobId} ArrayTaskId=${task ?? tasks}` +
      (throttle === undefined ? "" : ` ArrayTaskThrottle=${throttle}`);
  const limit = spec.minutes === undefined ? "UNLIMITED" : formatDuration(spec.minutes * 60);
  const nodes = nodesOf(entry);
  const cpus = cpusOf(spec);
  const expectedEnd = part.end ??
    (part.start === undefined || spec.minutes === undefined
      ? undefined
      : part.start + spec.minutes * 60);
  const eligible = part.held === true ? undefined : spec.begin ?? spec.submit;
  const memory = spec.memory === undefined ? "" : `mem=${mebibytes(spec.memory.amount)}M,`;
  const command = spec.command === undefined ? "(null)" : [spec.command, ...spec.args].join(" ");
  const lines = [
    `JobId=${entry.rawId}${array} JobName=${spec.name}`,
    `UserId=${spec.user}(${spec.uid}) GroupId=${spec.group}(${spec.gid}) MCS_label=N/A`,
    `Priority=${
      part.held === true ? 0 : 1
    } Nice=${spec.nice} Account=${spec.account} QOS=${spec.qos}`,
    `JobState=${shownState(entry)} Reason=${reasonOf(entry, around)} ` +
    `Dependency=${dependencyOf(entry, around)}`,
    `Requeue=${spec.requeue ? 1 : 0} Restarts=0 BatchFlag=1 Reboot=0 ExitCode=${scriptExit(entry)}`,
    `RunTime=${formatDuration(elapsedOf(entry, around.now))} TimeLimit=${limit} TimeMin=N/A`,
    `SubmitTime=${time(spec.submit)} EligibleTime=${time(eligible)}`,
    "AccrueTime=Unknown",
    `StartTime=${time(part.start ?? part.end ?? spec.begin)} EndTime=${
      time(expectedEnd)
    } Deadline=N/A`,
    "SuspendTime=None SecsPreSuspend=0 LastSchedEval=Unknown Scheduler=Main",
    `Partition=${spec.partition} AllocNode:Sid=${spec.host}:${spec.session}`,
    "ReqNodeList=(null) ExcNodeList=(null)",
    `NodeList=${nodes}`,
    ...(nodes === "" ? [] : [`BatchHost=${nodes}`]),
    `NumNodes=1 NumCPUs=${cpus} NumTasks=${tasksOf(spec)} CPUs/Task=${spec.cpusPerTask ?? 1} ` +
    "ReqB:S:C:T=0:0:*:*",
    `TRES=cpu=${cpus},${memory}node=1,billing=${cpus}`,
    "Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*",
    `MinCPUsNode=${spec.cpusPerTask ?? 1} ${minimumMemory(entry.job)} MinTmpDiskNode=0`,
    "Features=(null) DelayBoot=00:00:00",
    "OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)",
    `Command=${command}`,
    `WorkDir=${spec.workDir}`,
    ...(spec.comment === undefined ? [] : [`Comment=${spec.comment} `]),
    `StdErr=${files.error}`,
    `StdIn=${files.input}`,
    `StdOut=${files.output}`,
    "Power=",
  ];
  return isOneLine ? `${lines.join(" ")} \n` : `${lines.join("\n   ")}\n   \n\n`;
}

/** slurmctld keeps how the script of a job ended that was ended from outside; sacct does not. */
function scriptExit(entry: Entry): string {
  const { start, code, signal } = entry.part;
  return start === undefined || code === undefined ? exitOf(entry) : `${code}:${signal ?? 0}`;
}

function minimumMemory({ spec }: Job): string {
  const amount = spec.memory === undefined ? "0" : `${mebibytes(spec.memory.amount)}M`;
  return `MinMemory${spec.memory?.per === "cpu" ? "CPU" : "Node"}=${amount}`;
}

/** Holds or releases what of jobs is pending. */
function setHeld(context: Context, words: readonly string[], held: boolean): number {
  if (words.length === 0) {
    throw new Refusal(`too few arguments for keyword:${held ? "hold" : "release"}`);
  }
  makeStore(context.store);
  let code = 0;
  withLock(context.store, () => {
    // A comma within brackets is between tasks of one job.
    for (const word of words.flatMap((word) => word.split(/,(?![^[]*\])/))) {
      const complaints = setOneHeld(context, word, held);
      for (const complaint of complaints) context.err(complaint);
      if (complaints.length > 0) code = 1;
    }
  });
  context.wakeRunner();
  return code;
}

/** Holds or releases what of one job is pending, and returns what is to be said against it. */
function setOneHeld({ store }: Context, word: string, held: boolean): string[] {
  const match = /^(\d+)(?:_(?:(\d+)|\[([\d,:-]+)\]))?$/.exec(word);
  const [, id = "", task, list] = match ?? [];
  const job = match === null ? undefined : findJob(store, Number(id));
  if (job === undefined) return refusedFor(word, INVALID_ID);
  const raw = Number(id) === job.spec.jobId ? undefined : partOfRawId(job, Number(id));
  const asked = list !== undefined
    ? [...indices(parseArraySpec(list)?.ranges ?? [])]
    : task !== undefined
    ? [Number(task)]
    : raw !== undefined
    ? [raw]
    : [...job.parts.keys()];
  const keys = asked.filter((key) => job.parts.has(key));
  const strangers = asked.filter((key) => !job.parts.has(key));
  // Of several tasks each has an answer, in the case that one is refused (22.05).
  const about = (keys: readonly number[], what: string) =>
    keys.length === 0 ? [] : [`${id}_${formatIndices(keys)}: ${what}`];
  if (keys.length === 0) {
    return list === undefined ? refusedFor(word, INVALID_ID) : about(strangers, INVALID_ID);
  }
  const pending = keys.filter((key) => job.parts.get(key)?.state === "PENDING");
  if (pending.length === 0) {
    return refusedFor(
      word,
      keys.every((key) => isEnded(job.parts.get(key)?.state ?? "COMPLETED"))
        ? "Job/step already completing or completed"
        : "Job is no longer pending execution",
    );
  }
  const isSplit = keys.length < job.parts.size;
  changeJob(store, job, [
    job.parts.has(WHOLE)
      ? { held }
      : { tasks: formatIndices(pending), held, ...(isSplit ? { split: true } : {}) },
  ]);
  noteChange(store);
  return strangers.length === 0
    ? []
    : [...about(keys, "No error"), ...about(strangers, INVALID_ID)];
}

const INVALID_ID = "Invalid job id specified";

function refusedFor(word: string, why: string): string[] {
  return [`${why} for job ${word}`, `slurm_suspend error: ${why}`];
}
