import { IndexSet, indices, parseArraySpec } from "./array.ts";
import { ask, QUERY_TIMEOUT_MS } from "./ask.ts";
import { isJobId, type JobReference, parseReference, parseTime } from "./fields.ts";
import { hostnames } from "./hostlist.ts";
import { byCluster, inPieces, jobKey, readSacct } from "./query.ts";
import { isEarlierUse, type JobQuery } from "./report.ts";
import { describeManyArgv, describeManyInput, parseScontrolJobs } from "./scontrol.ts";
import type { TableRow } from "./table.ts";

/** What the name of a log file can have of a job, or of an array task, once it has started. */
export interface TaskRun {
  /** Slurm's own id of the task: `%j`; the master's is that of one task alone. */
  readonly jobId: string;
  /** The first node that it ran on: `%N`. */
  readonly node?: string;
}

/** The tasks of an array that have started, by index; of a job that is none the job, by null. */
export type TaskRuns = ReadonlyMap<number | null, TaskRun>;

/** What Slurm tells of the runs of a job. */
export interface ToldRuns {
  readonly runs: TaskRuns;
  /** Whether it knows the job, so that a task which it does not name has not started. */
  readonly isKnown: boolean;
}

/** A job whose runs are wanted. */
export interface RunQuery extends JobQuery {
  /** When it ended, in seconds since 1970: what was submitted after that has got the id again. */
  readonly end?: number;
}

const COLUMNS: readonly string[] = ["JobID", "JobIDRaw", "NodeList", "Submit"];

/** slurmctld is asked for so many jobs at most, and waited for so long, in milliseconds. */
const MOST_JOBS = 100;
const CONTROLLER_MS = 3_000;

/**
 * Returns the ids and nodes that jobs and their tasks have run with, by {@link jobKey}: one sacct
 * for all jobs of a cluster, and one scontrol for those that sacct does not know all `expected` tasks
 * of. What neither tells is left out.
 */
export async function taskRuns(jobs: readonly RunQuery[]): Promise<Map<string, ToldRuns>> {
  const found = new Map<string, ToldRuns>();
  for (const [cluster, group] of byCluster(jobs.filter(({ jobId }) => isJobId(jobId)))) {
    const runs = new Runs(group);
    for (const jobIds of inPieces([...new Set(group.map(({ jobId }) => jobId))])) {
      const { answer, taker } = await readSacct(
        { jobIds, columns: COLUMNS, ...(cluster === undefined ? {} : { cluster }) },
        QUERY_TIMEOUT_MS,
        () => new Rows(),
      );
      if (answer.outcome !== "answered") continue;
      for (const row of taker.rows) runs.addRow(row);
    }
    const unknown = runs.incomplete().slice(0, MOST_JOBS);
    if (unknown.length > 0) {
      const { stdout } = await ask(describeManyArgv(cluster), CONTROLLER_MS, {
        stdin: describeManyInput(unknown),
      });
      for (const { reference, jobId, nodeList, submit } of parseScontrolJobs(stdout)) {
        runs.add(reference, jobId, nodeList, submit);
      }
    }
    for (const [job, told] of runs.byJob) found.set(jobKey(job), told);
  }
  return found;
}

/** A record is not held up for longer by a slurmdbd that does not answer, in milliseconds. */
const RECORDING_MS = 10_000;

/**
 * Returns all tasks of arrays that accounting knows, by {@link jobKey}: also those that wait, and those
 * that slurmctld has forgotten. An array that it does not know is left out.
 */
export async function arrayTasks(jobs: readonly JobQuery[]): Promise<Map<string, IndexSet>> {
  const found = new Map<string, IndexSet>();
  for (const [cluster, group] of byCluster(jobs)) {
    const byId = new Map(group.map((job) => [job.jobId, job]));
    for (const jobIds of inPieces([...byId.keys()])) {
      const { answer, taker } = await readSacct(
        { jobIds, columns: COLUMNS, ...(cluster === undefined ? {} : { cluster }) },
        RECORDING_MS,
        () => new Rows(),
      );
      if (answer.outcome !== "answered") continue;
      for (const row of taker.rows) {
        const { jobId = "", task, tasks } = parseReference(row["JobID"] ?? "") ?? {};
        const job = byId.get(jobId);
        if (job === undefined || isEarlierUse(job, { submit: parseTime(row["Submit"]) })) continue;
        if (task === undefined && tasks === undefined) continue;
        const spec = parseArraySpec(tasks ?? `${task}`);
        // A list that Slurm has cut.
        if (spec === undefined) return new Map();
        const all = found.get(jobKey(job)) ?? new IndexSet();
        all.addAll(new IndexSet(spec.ranges));
        found.set(jobKey(job), all);
      }
    }
  }
  return found;
}

/** The rows of an answer, of which nothing counts before it has come to its end. */
class Rows {
  readonly rows: TableRow[] = [];

  add(row: TableRow): void {
    this.rows.push(row);
  }
}

/** The runs of some jobs of one cluster. */
class Runs {
  readonly byJob: ReadonlyMap<RunQuery, { runs: Map<number | null, TaskRun>; isKnown: boolean }>;
  readonly #byId: ReadonlyMap<string, readonly RunQuery[]>;

  constructor(jobs: readonly RunQuery[]) {
    this.byJob = new Map(jobs.map((job) => [job, { runs: new Map(), isKnown: false }]));
    this.#byId = Map.groupBy(jobs, ({ jobId }) => jobId);
  }

  addRow(row: TableRow): void {
    const reference = parseReference(row["JobID"] ?? "");
    const raw = row["JobIDRaw"] ?? "";
    if (reference === undefined || !isJobId(raw)) return;
    this.add(reference, raw, row["NodeList"], parseTime(row["Submit"]));
  }

  /** Takes what is told of a task or a job. */
  add(
    { jobId, task, tasks, step, component = 0 }: JobReference,
    raw: string,
    nodes: string | undefined,
    submit: number | undefined,
  ): void {
    // The batch script of a heterogeneous job runs in its first component.
    if (step !== undefined || component !== 0) return;
    const node = nodes === undefined ? undefined : hostnames(nodes).next().value;
    for (const job of this.#byId.get(jobId) ?? []) {
      const told = this.byJob.get(job);
      const isOther = isEarlierUse(job, { submit }) || (submit ?? 0) > (job.end ?? Infinity);
      if (told === undefined || isOther) continue;
      told.isKnown = true;
      // A record of many tasks is of those that wait, or were cancelled while they did.
      if (tasks !== undefined) continue;
      told.runs.set(task ?? null, { jobId: raw, ...(node === undefined ? {} : { node }) });
    }
  }

  /** Returns the ids of the jobs that not all is known of. */
  incomplete(): string[] {
    return [...this.byJob].flatMap(([{ jobId, expected }, { runs }]) => {
      const spec = parseArraySpec(expected ?? "");
      const wanted = spec === undefined ? [null] : indices(spec.ranges);
      return [...wanted].every((task) => runs.get(task)?.node !== undefined) ? [] : [jobId];
    });
  }
}
