import type { RecordedJob } from "../dataset/history.ts";
import { parentPath } from "../paths.ts";
import type { JobAccounting } from "../slurm/account.ts";
import type { JobReport } from "../slurm/report.ts";

/**
 * Writes what Slurm knew of a job into `slurm-job-ID.env.json`, without user names. The file is
 * the job's own by its name, so an earlier one, of a finish that was cut short, is replaced. It is
 * written in `scratch` first, below the git directory, where nothing is left in the user's way.
 */
export function writeEnvironment(
  root: string,
  path: string,
  scratch: string,
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
    ...(report.assumed === true ? { assumed: true } : {}),
  };
  const bytes = `${JSON.stringify(content, null, 1)}\n`;
  // Another process may be finishing the same job, or have finished it just now.
  if (readQuietly(`${root}/${path}`) === bytes) return;
  Deno.mkdirSync(`${root}/${parentPath(path)}`, { recursive: true });
  // Renamed into place: an annexed file of that name is a link to content that must not change.
  const aside = `${scratch}/${ENVIRONMENT}${crypto.randomUUID()}`;
  Deno.writeTextFileSync(aside, bytes);
  try {
    Deno.renameSync(aside, `${root}/${path}`);
  } catch {
    // A linked work tree on another file system, or somebody has tidied up.
    const beside = `${root}/${path}.${crypto.randomUUID()}`;
    Deno.writeTextFileSync(beside, bytes);
    Deno.renameSync(beside, `${root}/${path}`);
    clearEnvironments(scratch);
  }
}

const ENVIRONMENT = "environment-";

/** Removes what processes that were killed have left of {@link writeEnvironment}. */
export function clearEnvironments(scratch: string): void {
  try {
    for (const { name } of Deno.readDirSync(scratch)) {
      if (name.startsWith(ENVIRONMENT)) Deno.removeSync(`${scratch}/${name}`);
    }
  } catch {
    // There are none, or somebody else was faster.
  }
}

function readQuietly(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
