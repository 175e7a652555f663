import { type ArraySpec, parseArraySpec } from "../array.ts";
import { isDependency } from "./dependency.ts";
import { parseBegin, parseMinutes } from "./times.ts";
import { type GivenOption, type Grammar, readWords, Refusal } from "./words.ts";

/** sbatch's options (22.05); what is not in {@link FOLLOWED} is taken and has no effect here. */
const OPTIONS: readonly string[] = [
  "account A =",
  "acctg-freq =",
  "array a =",
  "batch =",
  "bb =",
  "bbf =",
  "begin b =",
  "chdir D =",
  "cluster-constraint =",
  "clusters M =",
  "comment =",
  "constraint C =",
  "container =",
  "contiguous",
  "core-spec S =",
  "cores-per-socket =",
  "cpu-freq =",
  "cpus-per-gpu =",
  "cpus-per-task c =",
  "deadline =",
  "delay-boot =",
  "dependency d =",
  "distribution m =",
  "error e =",
  "exclude x =",
  "exclusive ?",
  "export =",
  "export-file =",
  "extra-node-info B =",
  "get-user-env ?",
  "gid =",
  "gpu-bind =",
  "gpu-freq =",
  "gpus G =",
  "gpus-per-node =",
  "gpus-per-socket =",
  "gpus-per-task =",
  "gres =",
  "gres-flags =",
  "help h",
  "hint =",
  "hold H",
  "ignore-pbs",
  "input i =",
  "job-name J =",
  "kill-on-invalid-dep =",
  "licenses L =",
  "mail-type =",
  "mail-user =",
  "mcs-label =",
  "mem =",
  "mem-bind =",
  "mem-per-cpu =",
  "mem-per-gpu =",
  "mincpus =",
  "network =",
  "nice ?",
  "no-kill k ?",
  "no-requeue",
  "nodefile F =",
  "nodelist w =",
  "nodes N =",
  "ntasks n =",
  "ntasks-per-core =",
  "ntasks-per-gpu =",
  "ntasks-per-node =",
  "ntasks-per-socket =",
  "open-mode =",
  "output o =",
  "overcommit O",
  "oversubscribe s",
  "parsable",
  "partition p =",
  "power =",
  "prefer =",
  "priority =",
  "profile =",
  "propagate ?",
  "qos q =",
  "quiet Q",
  "reboot",
  "requeue",
  "reservation =",
  "signal =",
  "sockets-per-node =",
  "spread-job",
  "switches =",
  "test-only",
  "thread-spec =",
  "threads-per-core =",
  "time t =",
  "time-min =",
  "tmp =",
  "tres-per-task =",
  "uid =",
  "usage",
  "use-min-nodes",
  "verbose v",
  "version V",
  "wait W",
  "wait-all-nodes =",
  "wckey =",
  "wrap =",
];

/** What cannot be left out without doing something else than was asked for. */
const UNSUPPORTED = new Set([
  "batch",
  "bb",
  "bbf",
  "cluster-constraint",
  "container",
  "deadline",
  "export-file",
  "gid",
  "nodefile",
  "reboot",
  "uid",
]);

/** What has the effect here that it has with Slurm, as far as there can be one. */
const FOLLOWED: ReadonlySet<string> = new Set(
  ("account array begin chdir clusters comment cpus-per-task dependency error export hold input " +
    "job-name kill-on-invalid-dep mem mem-per-cpu nice no-requeue nodes ntasks ntasks-per-node " +
    "open-mode output parsable partition qos quiet requeue signal test-only time verbose wait wrap")
    .split(" "),
);

/** The variables that stand for options: stronger than `#SBATCH` lines, weaker than argv. */
const VARIABLES: Readonly<Record<string, string>> = {
  SBATCH_ACCOUNT: "account",
  SBATCH_ARRAY_INX: "array",
  SBATCH_CLUSTERS: "clusters",
  SBATCH_CONSTRAINT: "constraint",
  SBATCH_CONTAINER: "container",
  SBATCH_ERROR: "error",
  SBATCH_EXCLUSIVE: "exclusive",
  SBATCH_EXPORT: "export",
  SBATCH_GPUS: "gpus",
  SBATCH_GRES: "gres",
  SBATCH_INPUT: "input",
  SBATCH_JOB_NAME: "job-name",
  SBATCH_MEM_PER_CPU: "mem-per-cpu",
  SBATCH_MEM_PER_NODE: "mem",
  SBATCH_NO_REQUEUE: "no-requeue",
  SBATCH_OPEN_MODE: "open-mode",
  SBATCH_OUTPUT: "output",
  SBATCH_PARTITION: "partition",
  SBATCH_QOS: "qos",
  SBATCH_REQUEUE: "requeue",
  SBATCH_RESERVATION: "reservation",
  SBATCH_SIGNAL: "signal",
  SBATCH_TIMELIMIT: "time",
  SBATCH_WAIT: "wait",
};

/** What sbatch was asked for on its command line, in its environment and in the script. */
export interface Request {
  readonly account?: string;
  readonly array?: ArraySpec;
  readonly begin?: number;
  readonly clusters?: string;
  readonly comment?: string;
  readonly cpusPerTask?: number;
  readonly dependency?: string;
  readonly chdir?: string;
  readonly error?: string;
  readonly export?: string;
  readonly hold: boolean;
  /** The names of options that have no effect here. */
  readonly ignored: readonly string[];
  readonly input?: string;
  readonly jobName?: string;
  readonly killInvalid: boolean;
  readonly memory?: { readonly amount: string; readonly per: "node" | "cpu" };
  readonly minutes?: number;
  readonly nice: number;
  readonly append: boolean;
  readonly output?: string;
  readonly parsable: boolean;
  readonly partition?: string;
  readonly qos?: string;
  readonly quiet: boolean;
  readonly requeue: boolean;
  readonly tasks?: number;
  readonly tasksPerNode?: number;
  readonly testOnly: boolean;
  readonly wait: boolean;
  readonly warning?: { readonly signal: string; readonly seconds: number; readonly batch: boolean };
  readonly wrap?: string;
}

/** Returns an amount of memory as `16G`, which may be written `16GB`, or undefined for anything else. */
function readMemory(text: string): string | undefined {
  const [, count, unit = ""] = /^(\d+)(?:([KMGT])B?)?$/i.exec(text) ?? [];
  return count === undefined ? undefined : `${count}${unit}`;
}

/** Returns the grammar of sbatch's command line; what it cannot read ends with `refusalCode`. */
export function sbatchGrammar(refusalCode: number): Grammar {
  return { program: "sbatch", options: OPTIONS, stopsAtOperand: true, refusalCode };
}

/** Returns the refusal of what parts the components of a heterogeneous job. */
export function noHeterogeneousJobs(): Refusal {
  return new Refusal("sbatch: error: The local stand-in has no heterogeneous jobs");
}

/** Returns the options that the environment gives. */
export function optionsOfEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): GivenOption[] {
  const given: GivenOption[] = [];
  const clusters = environment["SLURM_CLUSTERS"];
  if (clusters !== undefined) given.push({ name: "clusters", value: clusters });
  for (const [variable, name] of Object.entries(VARIABLES)) {
    const value = environment[variable];
    if (value !== undefined) given.push({ name, value });
  }
  return given;
}

/** Returns the options in the words of `#SBATCH` lines; `--quiet` has no effect there (22.05). */
export function optionsOfDirectives(words: readonly string[], refusalCode: number): GivenOption[] {
  const { options, operands } = readWords(sbatchGrammar(refusalCode), words);
  if (operands[0] === "hetjob" || operands[0] === "packjob") throw noHeterogeneousJobs();
  return options.filter(({ name }) => name !== "quiet" && name !== "wrap");
}

/**
 * Returns what options ask for, the weakest first. Throws a {@link Refusal} for a value that sbatch
 * does not take (`refusalCode`), and for an option that the stand-in cannot follow.
 */
export function toRequest(
  options: readonly GivenOption[],
  now: number,
  refusalCode: number,
): Request {
  const values = new Map<string, string>();
  for (const { name, value } of options) {
    if (UNSUPPORTED.has(name)) {
      throw new Refusal(`sbatch: error: --${name} is not supported by the local stand-in`);
    }
    // The last of two that exclude each other counts.
    if (name === "requeue") values.delete("no-requeue");
    if (name === "no-requeue") values.delete("requeue");
    if (name === "mem") values.delete("mem-per-cpu");
    if (name === "mem-per-cpu") values.delete("mem");
    values.set(name, value ?? "");
  }
  const value = (name: string) => values.get(name);
  const read = <Result>(name: string, parse: (text: string) => Result | undefined) => {
    const text = value(name);
    if (text === undefined) return undefined;
    const result = parse(text);
    if (result === undefined) {
      throw new Refusal(`sbatch: error: Invalid --${name} specification`, refusalCode);
    }
    return result;
  };
  const number = (name: string) => {
    const text = value(name);
    if (text !== undefined && !/^[1-9]\d{0,8}$/.test(text)) {
      throw new Refusal(`sbatch: error: Invalid numeric value "${text}" for --${name}.`);
    }
    return text === undefined ? undefined : Number(text);
  };
  refuseNodes(value("nodes"));
  const array = value("array") || undefined;
  const memoryPer = value("mem-per-cpu") === undefined ? "mem" : "mem-per-cpu";
  const memory = read(memoryPer, readMemory);
  const request = {
    account: value("account"),
    array: array === undefined ? undefined : readArray(array),
    begin: read("begin", (text) => parseBegin(text, now)),
    clusters: value("clusters"),
    comment: value("comment"),
    cpusPerTask: number("cpus-per-task"),
    dependency: readDependency(value("dependency")),
    chdir: value("chdir"),
    error: value("error") || undefined,
    export: value("export"),
    hold: values.has("hold"),
    ignored: [...values.keys()].filter((name) => !FOLLOWED.has(name)).sort(),
    input: value("input") || undefined,
    jobName: value("job-name") || undefined,
    killInvalid: read(
      "kill-on-invalid-dep",
      (text) => /^y(es)?$/i.test(text) ? true : /^no?$/i.test(text) ? false : undefined,
    ) ?? false,
    memory: memory === undefined
      ? undefined
      : { amount: memory, per: memoryPer === "mem" ? "node" as const : "cpu" as const },
    minutes: read("time", parseMinutes),
    nice: Number(value("nice") || 0) || 0,
    append:
      read("open-mode", (text) => /^a/i.test(text) ? true : /^t/i.test(text) ? false : undefined) ??
        false,
    output: value("output") || undefined,
    parsable: values.has("parsable"),
    partition: value("partition"),
    qos: value("qos"),
    quiet: values.has("quiet"),
    requeue: !values.has("no-requeue"),
    tasks: number("ntasks"),
    tasksPerNode: number("ntasks-per-node"),
    testOnly: values.has("test-only"),
    wait: values.has("wait"),
    warning: read("signal", parseWarning),
    wrap: value("wrap"),
  };
  return Object.fromEntries(
    Object.entries(request).filter(([, member]) => member !== undefined),
  ) as unknown as Request;
}

/** This machine is one node. */
function refuseNodes(text: string | undefined): void {
  if (text === undefined || /^1(-\d+)?$/.test(text)) return;
  throw new Refusal(
    /^\d+(-\d+)?$/.test(text)
      ? `sbatch: error: --nodes=${text}: the local stand-in has one node`
      : `sbatch: error: "${text}" is not a valid node count\nsbatch: error: invalid node count`,
  );
}

/** The highest index of an array, as with Slurm's default MaxArraySize times ten. */
const LONGEST_ARRAY = 10_000;

function readArray(text: string): ArraySpec {
  const spec = parseArraySpec(text);
  if (spec !== undefined && spec.ranges.every(({ last }) => last <= LONGEST_ARRAY)) return spec;
  throw submissionFailed("Invalid job array specification");
}

function readDependency(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (!isDependency(text)) throw submissionFailed("Job dependency problem");
  return text;
}

function submissionFailed(why: string): Refusal {
  return new Refusal(`sbatch: error: Batch job submission failed: ${why}`);
}

/** Reads `B:USR1@60`: the signal, and how many seconds before the limit it is sent. */
function parseWarning(text: string): Request["warning"] | undefined {
  const match = /^(?:([RB]+):)?(?:SIG)?(\w+)(?:@(\d+))?$/i.exec(text);
  const [, where = "", name = "", seconds = "60"] = match ?? [];
  const signal = signalName(name);
  if (match === null || signal === undefined) return undefined;
  return { signal, seconds: Number(seconds), batch: /B/i.test(where) };
}

const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ABRT: 6,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
};

/** Returns the name of a signal, such as `SIGUSR1`, for its name or number; else undefined. */
export function signalName(text: string): string | undefined {
  const word = text.toUpperCase().replace(/^SIG/, "");
  const name = Object.keys(SIGNALS).find((name) => name === word || String(SIGNALS[name]) === word);
  return name === undefined ? undefined : `SIG${name}`;
}
