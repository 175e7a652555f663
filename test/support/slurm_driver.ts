// Runs one function of the Slurm adapter in a process of its own, so that a test can give it an
// environment: `slurm_driver.ts FUNCTION FILE`, arguments in the file and result on stdout as JSON.
import { accountJobs } from "../../lib/slurm/accounting.ts";
import { isJobOver } from "../../lib/commands/owner.ts";
import { queryJobs } from "../../lib/slurm/query.ts";
import { findSubmission } from "../../lib/slurm/recover.ts";
import type { JobQuery } from "../../lib/slurm/report.ts";
import { taskRuns } from "../../lib/slurm/task_runs.ts";

const [name, file] = Deno.args;
const { jobs, trace, options, owner, at } = JSON.parse(Deno.readTextFileSync(file ?? ""));
type Dated = Omit<JobQuery, "submittedAt" | "slurmSubmit"> & {
  submittedAt?: string;
  slurmSubmit?: string;
};
const dated = (jobs ?? []).map((job: Dated) => ({
  ...job,
  ...(job.submittedAt === undefined ? {} : { submittedAt: new Date(job.submittedAt) }),
  ...(job.slurmSubmit === undefined ? {} : { slurmSubmit: new Date(job.slurmSubmit) }),
}));
const result = name === "query"
  ? Object.fromEntries(await queryJobs(dated, options))
  : name === "account"
  ? Object.fromEntries((await accountJobs(dated, options)).accounts)
  : name === "runs"
  ? Object.fromEntries(
    [...await taskRuns(dated)].map(([key, { runs, isKnown }]) => [key, [isKnown, ...runs]]),
  )
  : name === "over"
  // JSON has no undefined.
  ? await isJobOver(owner, new Date(at)) ?? "unknown"
  : await findSubmission(
    { ...trace, since: new Date(trace.since), namedClusters: () => trace.namedClusters ?? [] },
    options,
  );
console.log(JSON.stringify(result));
