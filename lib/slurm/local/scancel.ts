import { indices, parseArraySpec } from "../array.ts";
import type { Context } from "./context.ts";
import { type Change, type Job, type LocalState, type Part, partOfRawId, WHOLE } from "./job.ts";
import { baseOf, sessionOf } from "./launch.ts";
import { jobProcesses, signalAll, type Targets } from "./machine.ts";
import { lookupIn, pendingReason } from "./plan.ts";
import { signalName } from "./sbatch_options.ts";
import { changeJob, findJob, liveJobs, makeStore, noteChange, readJob, withLock } from "./store.ts";
import { formatIndices } from "../array.ts";
import { type Grammar, readWords, Refusal } from "./words.ts";

const GRAMMAR: Grammar = {
  program: "scancel",
  options: [
    "account A =",
    "batch b",
    "clusters M =",
    "full f",
    "hurry H",
    "me",
    "name n =",
    "jobname =",
    "partition p =",
    "qos q =",
    "quiet Q",
    "signal s =",
    "state t =",
    "user u =",
    "verbose v",
    "version V",
  ],
  stopsAtOperand: false,
  refusalCode: 1,
};

/** What of a job is meant: all of it when there are no tasks. */
interface Target {
  readonly word: string;
  readonly id: number;
  readonly tasks: readonly number[] | undefined;
}

/** Cancels or signals jobs, as scancel does, and returns the exit code. */
export function scancel(context: Context, words: readonly string[]): number {
  const { options, operands } = readWords(GRAMMAR, words);
  const value = (name: string) => options.findLast((option) => option.name === name)?.value;
  const has = (name: string) => options.some((option) => option.name === name);
  const targets = operands.flatMap((word) => word.split(/[,\s]+/).filter(Boolean).map(readTarget));
  const filters = {
    account: value("account"),
    name: value("name") ?? value("jobname"),
    partition: value("partition"),
    qos: value("qos"),
    state: value("state")?.toUpperCase(),
    user: has("me") ? undefined : value("user"),
  };
  if (
    targets.length === 0 && !has("me") && Object.values(filters).every((one) => one === undefined)
  ) {
    throw new Refusal("scancel: error: No job identification provided");
  }
  const signal = value("signal");
  const name = signal === undefined ? undefined : signalName(signal);
  if (signal !== undefined && name === undefined) {
    throw new Refusal(`scancel: error: Unknown job signal: ${signal}`);
  }
  const which: Targets = has("batch") ? "batch" : has("full") ? "all" : "others";
  makeStore(context.store);
  const unknown = withLock(context.store, () => {
    const live = liveJobs(context.store);
    const missing: Target[] = [];
    const chosen = targets.length === 0
      ? live.map((job) => ({ job, keys: [...job.parts.keys()] }))
      : targets.flatMap((target) => {
        const found = choose(live, target, context);
        if (found === undefined) missing.push(target);
        return found ?? [];
      });
    for (const { job, keys } of chosen) {
      if (!matches(job, filters)) continue;
      const wanted = keys.filter((key) => isWanted(job.parts.get(key), filters.state));
      if (name === undefined) cancel(context, live, job, wanted, keys.length === job.parts.size);
      else if (name === "SIGKILL" && which === "others") {
        cancel(context, live, job, wanted, keys.length === job.parts.size);
      } else signalParts(context, job, wanted, name, which);
    }
    return missing;
  });
  context.wakeRunner();
  if (has("verbose")) {
    for (const { word } of targets) context.err(`scancel: Terminating job ${word}`);
    for (const { word } of unknown) {
      context.err(`scancel: error: Kill job error on job id ${word}: Invalid job id specified`);
    }
  }
  return 0;
}

/** Reads `12`, `12_3`, `12_[1-3,7]` or `12_*`. */
function readTarget(word: string): Target {
  const match = /^(\d+)(?:_(?:(\d+)|\[([\d,:-]+)\]|\*))?(?:;\S+)?$/.exec(word);
  if (match === null) throw new Refusal(`scancel: error: Invalid job id ${word}`);
  const [, id, task, list] = match;
  const spec = list === undefined ? undefined : parseArraySpec(list);
  const tasks = task !== undefined
    ? [Number(task)]
    : spec === undefined
    ? undefined
    : [...indices(spec.ranges)];
  return { word, id: Number(id), tasks };
}

function choose(
  live: readonly Job[],
  { id, tasks }: Target,
  { store }: Context,
): { job: Job; keys: number[] } | undefined {
  const job = live.find(({ spec }) => spec.jobId === id);
  if (job !== undefined) {
    const keys = tasks ?? [...job.parts.keys()];
    return { job, keys: keys.filter((key) => job.parts.has(key)) };
  }
  const other = findJob(store, id);
  const key = other === undefined ? undefined : partOfRawId(other, id);
  const own = live.find(({ spec }) => spec.jobId === other?.spec.jobId);
  if (other === undefined || key === undefined) return undefined;
  // What is over already is no error.
  return own === undefined ? { job: other, keys: [] } : { job: own, keys: [key] };
}

function matches(
  { spec }: Job,
  filters: Readonly<Record<string, string | undefined>>,
): boolean {
  const is = (wanted: string | undefined, actual: string) =>
    wanted === undefined || wanted.split(",").includes(actual);
  return is(filters["account"], spec.account) && is(filters["name"], spec.name) &&
    is(filters["partition"], spec.partition) && is(filters["qos"], spec.qos) &&
    is(filters["user"], spec.user);
}

const SHORT_STATES: Readonly<Record<string, LocalState>> = { PD: "PENDING", R: "RUNNING" };

function isWanted(part: Part | undefined, state: string | undefined): boolean {
  if (part === undefined || part.state !== "PENDING" && part.state !== "RUNNING") return false;
  return state === undefined ||
    state.split(",").some((word) => (SHORT_STATES[word] ?? word) === part.state);
}

function cancel(
  { store, now }: Context,
  live: readonly Job[],
  job: Job,
  keys: readonly number[],
  isWholeJob: boolean,
): void {
  const time = now();
  const uid = Deno.uid() ?? 0;
  const pending = keys.filter((key) => job.parts.get(key)?.state === "PENDING");
  const running = keys.filter((key) => job.parts.get(key)?.state === "RUNNING");
  const changes: Change[] = [];
  const [first] = pending;
  if (first !== undefined) {
    const lookup = lookupIn(live, (id) => readJob(store, id));
    const part = job.parts.get(first);
    changes.push(of(pending, {
      state: "CANCELLED",
      cancelledBy: uid,
      end: Math.floor(time),
      ...(part === undefined
        ? {}
        : { reason: pendingReason({ job, key: first, part }, lookup, time, live) }),
      // Of an array that is cancelled as a whole, what never started stays one record.
      ...(isWholeJob ? {} : { split: true }),
    }));
  }
  if (running.length > 0) changes.push(of(running, { cancelAt: time, cancelledBy: uid }));
  if (changes.length === 0) return;
  changeJob(store, job, changes);
  noteChange(store);
}

function of(keys: readonly number[], change: Change): Change {
  return keys.includes(WHOLE) ? change : { tasks: formatIndices(keys), ...change };
}

function signalParts(
  { store }: Context,
  job: Job,
  keys: readonly number[],
  signal: string,
  which: Targets,
): void {
  for (const key of keys) {
    if (job.parts.get(key)?.state !== "RUNNING") continue;
    const session = sessionOf(baseOf(store, job, key));
    if (session !== undefined) signalAll(jobProcesses(session, which), signal);
  }
}
