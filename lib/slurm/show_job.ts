import { IndexSet, parseArraySpec } from "./array.ts";
import { ask } from "./ask.ts";
import { NO_TASK, pendingArrayPattern } from "./patterns.ts";
import { byCluster, jobKey } from "./query.ts";
import {
  describeArgv,
  describeManyArgv,
  describeManyInput,
  parseScontrolJobs,
  type ScontrolJob,
} from "./scontrol.ts";
import type { Submission } from "./submission.ts";

/** What slurmctld knows of one job, whatever number of records it keeps of it. */
export interface ShownJob {
  readonly name: string | undefined;
  readonly workDir: string | undefined;
  /** File name patterns, with `%a` for the index of an array task. */
  readonly stdout: string | undefined;
  readonly stderr: string | undefined;
  /** All indices of an array with its throttle: `0-4,7%2`; undefined for a job that is none. */
  readonly array: string | undefined;
  readonly partition: string | undefined;
  readonly account: string | undefined;
  readonly qos: string | undefined;
  /** In seconds since 1970. */
  readonly submitTime: number | undefined;
  /** The absolute path of the script, and its arguments behind it; undefined for `--wrap`. */
  readonly command: string | undefined;
  readonly dependency: string | undefined;
  /** Absent without a limit. */
  readonly timeLimitSeconds: number | undefined;
  /** What is requested, as Slurm writes it: `cpu=1,mem=1M,node=1,billing=1`. */
  readonly requested: string | undefined;
  /** How many components a heterogeneous job has. */
  readonly components: number | undefined;
  /** The host and the session that the job was submitted from. */
  readonly origin: { readonly host: string; readonly session: string } | undefined;
}

/** What asking slurmctld for one job has shown. */
export type Shown = { readonly job: ShownJob } | "unknown id" | "no answer";

/** A submission is not held up for longer by a slurmctld that does not answer. */
const PATIENCE_MS = 10_000;
const PATIENCE_A_JOB_MS = 50;

/** Returns what slurmctld knows of a job; `no answer` also when there is none in time. */
export async function showJob({ jobId, cluster }: Submission): Promise<Shown> {
  const answer = await ask(describeArgv(jobId, cluster), PATIENCE_MS);
  if (answer.outcome === "unknown-id") return "unknown id";
  const job = answer.outcome === "answered"
    ? combineRecords(parseScontrolJobs(answer.stdout))
    : undefined;
  return job === undefined ? "no answer" : { job };
}

/**
 * Returns what slurmctld knows of each job, by {@link jobKey}; those it has no answer for are left
 * out. One process asks for all jobs of a cluster: to start one for each costs more than the answer.
 */
export async function showJobs(jobs: readonly Submission[]): Promise<Map<string, ShownJob>> {
  const shown = new Map<string, ShownJob>();
  for (const [cluster, group] of byCluster(jobs)) {
    const ids = group.map(({ jobId }) => jobId);
    const patience = PATIENCE_MS + ids.length * PATIENCE_A_JOB_MS;
    // Its exit code and stderr tell of some one job that is unknown.
    const { stdout } = await ask(describeManyArgv(cluster), patience, {
      stdin: describeManyInput(ids),
    });
    const records = Map.groupBy(parseScontrolJobs(stdout), ({ reference }) => reference.jobId);
    let isSilent = false;
    for (const job of group) {
      let found = combineRecords(records.get(job.jobId) ?? []);
      if (found === undefined && !isSilent) {
        const answer = await showJob(job);
        if (answer === "no answer") isSilent = true;
        else if (answer !== "unknown id") found = answer.job;
      }
      if (found !== undefined) shown.set(jobKey(job), found);
    }
  }
  return shown;
}

/** Returns one job out of its records: the pending rest of an array and each task that started. */
export function combineRecords(records: readonly ScontrolJob[]): ShownJob | undefined {
  // The leader of a heterogeneous job, or the array's rest; else the first task.
  const main = records.find((record) => record.hetJobOffset === 0) ??
    records.find((record) => record.reference.tasks !== undefined) ?? records[0];
  if (main === undefined) return undefined;
  const tasks = new IndexSet();
  for (const { arrayTaskId } of records) tasks.addAll(IndexSet.of(arrayTaskId));
  const throttle = main.arrayTaskThrottle ?? parseArraySpec(main.reference.tasks ?? "")?.throttle;
  return {
    name: main.jobName,
    workDir: main.workDir,
    stdout: logPattern(records, main, "stdOut"),
    stderr: logPattern(records, main, "stdErr"),
    array: tasks.size === 0 ? undefined : `${tasks}${throttle ? `%${throttle}` : ""}`,
    partition: main.partition,
    account: main.account,
    qos: main.qos,
    submitTime: main.submit,
    command: main.command,
    dependency: main.dependency,
    timeLimitSeconds: main.timeLimitSeconds,
    requested: main.tres,
    components: main.hetJobOffset === undefined ? undefined : componentsIn(records),
    origin: main.allocNode === undefined || main.allocSid === undefined
      ? undefined
      : { host: main.allocNode, session: main.allocSid },
  };
}

/** So long slurmctld keeps a job that is over, however it is configured; in milliseconds. */
const KEPT_MS = 30_000;

/**
 * Whether slurmctld may have forgotten tasks of an array, so many milliseconds after its submission: it
 * forgets them one by one (MinJobAge after their end, 300 seconds by default).
 */
export function mayLackTasks({ array }: ShownJob, ageMs: number): boolean {
  return array !== undefined && ageMs > KEPT_MS;
}

/**
 * Returns an array with the tasks that others tell of as well. Where slurmctld remembers a single one,
 * it is not known what of its log's name is the index, but in the default name.
 */
export function withTasks(job: ShownJob, jobId: string, told: IndexSet): ShownJob {
  const shown = parseArraySpec(job.array ?? "");
  const [task, ...others] = new IndexSet(shown?.ranges);
  const all = new IndexSet(shown?.ranges).addAll(told);
  const pattern = (path: string | undefined) => {
    const isPattern = others.length > 0 || all.size === 1 || path?.includes("%a") === true;
    if (isPattern || !path?.includes(`${task}`)) return path;
    const start = `${jobId}_${task}.`;
    return path.includes(start) ? path.replace(start, `${jobId}_%a.`) : undefined;
  };
  return {
    ...job,
    array: `${all}${shown?.throttle === undefined ? "" : `%${shown.throttle}`}`,
    stdout: pattern(job.stdout),
    stderr: pattern(job.stderr),
  };
}

function componentsIn(records: readonly ScontrolJob[]): number {
  return Math.max(...records.map(({ hetJobOffset = 0 }) => hetJobOffset)) + 1;
}

/**
 * Returns the pattern of a log file. slurmctld shows it with the task's index filled in (before
 * 25.11), so of tasks that have started it is what fits all of them.
 */
function logPattern(
  records: readonly ScontrolJob[],
  main: ScontrolJob,
  field: "stdOut" | "stdErr",
): string | undefined {
  // The rest of an array may be one task: scontrol shows its index, but not in its log files.
  const waiting = records.find((record) => record[field]?.includes(NO_TASK))?.[field];
  if (waiting !== undefined) return pendingArrayPattern(waiting);
  const path = main[field];
  if (path === undefined || main.reference.tasks !== undefined) {
    return path === undefined ? undefined : pendingArrayPattern(path);
  }
  const task = main.reference.task;
  const others = records.filter((record) => record !== main && record.reference.task !== undefined);
  if (task === undefined || others.every((other) => other[field] === path)) return path;
  for (let at = path.indexOf(`${task}`); at >= 0; at = path.indexOf(`${task}`, at + 1)) {
    const [before, after] = [path.slice(0, at), path.slice(at + `${task}`.length)];
    if (others.every((other) => other[field] === `${before}${other.reference.task}${after}`)) {
      return `${before}%a${after}`;
    }
  }
  return path;
}
