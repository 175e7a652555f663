import type { RecordedJob } from "../dataset/history.ts";

/**
 * Whether a job is the one that this process is part of: inside a batch script it would be waited for
 * in vain. Slurm tells job and cluster in the environment of a job (20.11 to 25.11).
 */
export function isOwnJob({ jobId, record }: RecordedJob): boolean {
  const own = Deno.env.get("SLURM_ARRAY_JOB_ID") ?? Deno.env.get("SLURM_JOB_ID");
  const here = Deno.env.get("SLURM_CLUSTER_NAME");
  const cluster = record.datalad_slurm?.cluster;
  return jobId === own && (cluster === undefined || here === undefined || cluster === here);
}
