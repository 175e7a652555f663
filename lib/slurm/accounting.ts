import { sleep, throwIfInterrupted } from "../process/interruption.ts";
import { Accounts, type JobAccounting } from "./account.ts";
import { knowsEnd, withReport } from "./account_end.ts";
import { ask, QUERY_TIMEOUT_MS } from "./ask.ts";
import { isJobId } from "./fields.ts";
import { byCluster, inPieces, jobKey, type QueryOptions, readSacct } from "./query.ts";
import { CLOCK_SLACK, type JobQuery, type JobReport } from "./report.ts";
import { ACCOUNTING_COLUMNS } from "./sacct.ts";
import { isStandIn, STAND_IN_VERSION } from "./stand_in.ts";

/** What accounting knows of jobs. */
export interface Accounted {
  /** By {@link jobKey}; a job that sacct does not know is not in it. */
  readonly accounts: ReadonlyMap<string, JobAccounting>;
  /** Whether sacct has answered for all clusters; without accounting it never does. */
  readonly isAnswered: boolean;
}

/**
 * Returns what accounting knows of jobs, from one sacct call for all jobs of a cluster. Accounting
 * is an extra: that sacct fails is no error, and no state is derived from its answer.
 */
export async function accountJobs(
  jobs: readonly JobQuery[],
  options: QueryOptions = {},
): Promise<Accounted> {
  const accounts = new Map<string, JobAccounting>();
  let isAnswered = true;
  const valid = jobs.filter(({ jobId }) => isJobId(jobId));
  for (const [cluster, group] of byCluster(valid)) {
    const earliest = notBefore(group);
    for (const jobIds of inPieces([...new Set(group.map(({ jobId }) => jobId))])) {
      const { answer, taker } = await readSacct(
        {
          jobIds,
          columns: ACCOUNTING_COLUMNS,
          steps: true,
          ...(cluster === undefined ? {} : { cluster }),
        },
        options.timeoutMs ?? QUERY_TIMEOUT_MS,
        () => new Accounts(new Set(jobIds), earliest),
      );
      if (answer.outcome !== "answered") {
        isAnswered = false;
        continue;
      }
      const known = taker.result();
      for (const job of group) {
        const account = known.get(job.jobId);
        if (account !== undefined) accounts.set(jobKey(job), account);
      }
    }
  }
  return { accounts, isAnswered };
}

/** A job that is over, as {@link queryJobs} has found out. */
export interface EndedJob {
  readonly query: JobQuery;
  readonly report: JobReport;
}

/** Pauses before sacct is asked again, in milliseconds: it learns of an end some seconds later. */
const AGAIN_AFTER: readonly number[] = [250, 500, 1000, 2000];

/** What it has not a minute after the end it has lost, or gets when slurmdbd is up again; in seconds. */
const LATEST = 60;

/**
 * Returns what accounting knows of jobs that are over, by {@link jobKey}. As long as it does not
 * know the end of all that have just ended it is asked again, for four seconds; what it does not have
 * then is taken from the report. `first` is an answer that is there already.
 */
export async function accountEndedJobs(
  jobs: readonly EndedJob[],
  first: Promise<Accounted> = accountJobs(jobs.map(({ query }) => query)),
): Promise<Map<string, JobAccounting>> {
  const { accounts, isAnswered } = await first;
  const known = new Map(accounts);
  for (const milliseconds of isAnswered ? AGAIN_AFTER : []) {
    const behind = jobs.filter(({ query, report }) =>
      report.assumed !== true && (report.end ?? Infinity) > Date.now() / 1000 - LATEST &&
      !knowsEnd(known.get(jobKey(query)), report)
    );
    if (behind.length === 0) break;
    await sleep(milliseconds);
    throwIfInterrupted();
    const again = await accountJobs(behind.map(({ query }) => query));
    for (const [key, account] of again.accounts) known.set(key, account);
    if (!again.isAnswered) break;
  }
  return new Map(jobs.map(({ query, report }) => {
    const key = jobKey(query);
    return [key, withReport(known.get(key), report)];
  }));
}

function notBefore(jobs: readonly JobQuery[]): Map<string, number> {
  return new Map(
    jobs.flatMap(({ jobId, submittedAt }) =>
      submittedAt === undefined
        ? []
        : [[jobId, submittedAt.getTime() / 1000 - CLOCK_SLACK] as const]
    ),
  );
}

/**
 * Returns the versions of Slurm on clusters, of which undefined stands for the local one: that is what
 * `sbatch --version` says. Of other clusters they are not known: the programs here tell their own.
 */
export async function slurmVersions(
  clusters: Iterable<string | undefined>,
): Promise<Map<string | undefined, string>> {
  const versions = new Map<string | undefined, string>();
  for (const cluster of new Set(clusters)) {
    const version = cluster === undefined
      ? parseVersion((await ask(["sbatch", "--version"])).stdout)
      : isStandIn(cluster)
      ? STAND_IN_VERSION
      : undefined;
    if (version !== undefined) versions.set(cluster, version);
  }
  return versions;
}

/** Returns the version in `slurm 23.11.4` or Debian's `slurm-wlm 22.05.8`. */
export function parseVersion(stdout: string): string | undefined {
  return /^slurm(?:-wlm)? (\d+\.\d+\S*)$/m.exec(stdout)?.[1];
}
