import type { RecordedJob } from "../dataset/history.ts";
import { parentPath } from "../paths.ts";
import type { JobAccounting } from "../slurm/account.ts";
import type { JobReport } from "../slurm/report.ts";

/**
 * Writes what Slurm knew of a job into `slurm-job-ID.env.json`, without user names. The file is
 * the job's own by its name, so an earlier one, of a finish that was cut short, is replaced.
 */
export function writeEnvironment(
  root: string,
  path: string,
  job: RecordedJob,
  report: JobReport,
  accounting: JobAccounting | undefined,
): void {
  const content = {
    slurm_job_id: job.jobId,
    ...(job.record.datalad_slurm?.job ?? {}),
    ...(report.tasks === undefined ? {} : { tasks: report.tasks }),
    ...(accounting ?? {}),
    // Last, because accounting lags behind slurmctld.
    state: report.state,
  };
  const directory = parentPath(path);
  Deno.mkdirSync(`${root}/${directory}`, { recursive: true });
  // Renamed into place: an annexed file of that name is a link to content that must not change.
  const temporary = `${root}/${path}.new`;
  Deno.writeTextFileSync(temporary, `${JSON.stringify(content, null, 1)}\n`);
  Deno.renameSync(temporary, `${root}/${path}`);
}
