import { Accounts, type JobAccounting } from "./account.ts";
import { ask, QUERY_TIMEOUT_MS } from "./ask.ts";
import { isJobId } from "./fields.ts";
import { byCluster, inPieces, jobKey, type QueryOptions, readSacct } from "./query.ts";
import { CLOCK_SLACK, type JobQuery } from "./report.ts";
import { ACCOUNTING_COLUMNS } from "./sacct.ts";

/**
 * Returns what accounting knows of jobs, by {@link jobKey}, from one sacct call for all jobs of a
 * cluster. A job that sacct does not know, or all of them when sacct fails, are not in the answer:
 * accounting is an extra, and no state is derived from it.
 */
export async function accountJobs(
  jobs: readonly JobQuery[],
  options: QueryOptions = {},
): Promise<Map<string, JobAccounting>> {
  const found = new Map<string, JobAccounting>();
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
      if (answer.outcome !== "answered") continue;
      const known = taker.result();
      for (const job of group) {
        const account = known.get(job.jobId);
        if (account !== undefined) found.set(jobKey(job), account);
      }
    }
  }
  return found;
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

/** Returns Slurm's version as `sbatch --version` has it, or undefined when it does not say. */
export async function slurmVersion(options: QueryOptions = {}): Promise<string | undefined> {
  return parseVersion((await ask(["sbatch", "--version"], options.timeoutMs)).stdout);
}

/** Returns the version in `slurm 23.11.4` or Debian's `slurm-wlm 22.05.8`. */
export function parseVersion(stdout: string): string | undefined {
  return /^slurm(?:-wlm)? (\d+\.\d+\S*)$/m.exec(stdout)?.[1];
}
