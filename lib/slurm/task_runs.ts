import { indices, parseArraySpec } from "./array.ts";
import { ask, QUERY_TIMEOUT_MS } from "./ask.ts";
import { isJobId, type JobReference, parseReference, parseTime } from "./fields.ts";
import { hostnames } from "./hostlist.ts";
import { byCluster, inPieces, jobKey, readSacct } from "./query.ts";
import { CLOCK_SLACK, type JobQuery } from "./report.ts";
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

const COLUMNS: readonly string[] = ["JobID", "JobIDRaw", "NodeList", "Submit"];

/**
 * Returns the ids and nodes that jobs and their tasks have run with, by {@link jobKey}: one sacct
 * for all jobs of a cluster, and one scontrol for those that sacct does not know all `expected` tasks
 * of. What neither tells is left out.
 */
export async function taskRuns(jobs: readonly JobQuery[]): Promise<Map<string, TaskRuns>> {
  const found = new Map<string, TaskRuns>();
  for (const [cluster, group] of byCluster(jobs.filter(({ jobId }) => isJobId(jobId)))) {
    const runs = new Runs(group);
    for (const jobIds of inPieces([...new Set(group.map(({ jobId }) => jobId))])) {
      await readSacct(
        { jobIds, columns: COLUMNS, ...(cluster === undefined ? {} : { cluster }) },
        QUERY_TIMEOUT_MS,
        // An answer that fails has no wrong rows, only too few.
        () => ({ add: (row: TableRow) => runs.addRow(row) }),
      );
    }
    const unknown = runs.incomplete();
    if (unknown.length > 0) {
      const { stdout } = await ask(describeManyArgv(cluster), QUERY_TIMEOUT_MS, {
        stdin: describeManyInput(unknown),
      });
      for (const { reference, jobId, nodeList, submit } of parseScontrolJobs(stdout)) {
        runs.add(reference, jobId, nodeList, submit);
      }
    }
    for (const [job, own] of runs.byJob) found.set(jobKey(job), own);
  }
  return found;
}

/** The runs of some jobs of one cluster. */
class Runs {
  readonly byJob: ReadonlyMap<JobQuery, Map<number | null, TaskRun>>;
  readonly #byId: ReadonlyMap<string, readonly JobQuery[]>;

  constructor(jobs: readonly JobQuery[]) {
    this.byJob = new Map(jobs.map((job) => [job, new Map()]));
    this.#byId = Map.groupBy(jobs, ({ jobId }) => jobId);
  }

  addRow(row: TableRow): void {
    const reference = parseReference(row["JobID"] ?? "");
    const raw = row["JobIDRaw"] ?? "";
    if (reference === undefined || !isJobId(raw)) return;
    this.add(reference, raw, row["NodeList"], parseTime(row["Submit"]));
  }

  /** Takes what is told of a task or a job; of a record of many tasks that wait there is nothing. */
  add(
    { jobId, task, tasks, step }: JobReference,
    raw: string,
    nodes: string | undefined,
    submit: number | undefined,
  ): void {
    if (step !== undefined || tasks !== undefined) return;
    const node = nodes === undefined ? undefined : hostnames(nodes).next().value;
    for (const job of this.#byId.get(jobId) ?? []) {
      const earliest = (job.submittedAt?.getTime() ?? 0) / 1000 - CLOCK_SLACK;
      if ((submit ?? Infinity) < earliest) continue;
      this.byJob.get(job)?.set(task ?? null, {
        jobId: raw,
        ...(node === undefined ? {} : { node }),
      });
    }
  }

  /** Returns the ids of the jobs that not all is known of. */
  incomplete(): string[] {
    return [...this.byJob].flatMap(([{ jobId, expected }, runs]) => {
      const spec = parseArraySpec(expected ?? "");
      const wanted = spec === undefined ? [null] : indices(spec.ranges);
      return [...wanted].every((task) => runs.has(task)) ? [] : [jobId];
    });
  }
}
