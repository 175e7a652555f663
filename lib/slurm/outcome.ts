/** How asking one of Slurm's programs went. */
export type Outcome =
  | "answered"
  | "unknown-id"
  | "accounting-disabled"
  | "slurmdbd-down"
  | "slurmctld-down"
  | "not-configured"
  | "missing"
  | "timeout"
  | "failed";

/**
 * Returns why a query failed, from the stderr of 22.05: `Slurm accounting storage is disabled`,
 * `sacct: error: Problem talking to the database: Connection refused`,
 * `slurm_load_jobs error: Unable to contact slurm controller (connect failure)`,
 * `slurm_load_jobs error: Invalid job id specified`. Without slurm.conf they say
 * `squeue: fatal: Could not establish a configuration source`, and where SLURM_CONF names a file that
 * is not there they try for a minute: `s_p_parse_file: cannot stat file /x: No such file or directory`.
 */
export function classifyFailure(stderr: string): Outcome {
  if (/accounting storage is disabled/i.test(stderr)) return "accounting-disabled";
  if (/Problem talking to the database|persistent connection|PersistInit/i.test(stderr)) {
    return "slurmdbd-down";
  }
  if (/Unable to contact slurm controller/i.test(stderr)) return "slurmctld-down";
  if (saysClusterIsDown(stderr)) return "slurmctld-down";
  if (/Invalid job id specified/i.test(stderr)) return "unknown-id";
  if (/Could not establish a configuration source|s_p_parse_file: cannot stat file/.test(stderr)) {
    return "not-configured";
  }
  return "failed";
}

/**
 * Returns whether a program that was told of a cluster (`--clusters`) says that slurmdbd has no address of
 * its slurmctld, which is so while that is down; before it says the same of a cluster that there is not, it
 * says so: `squeue: error: No cluster 'x' known by database.`, `squeue: error: 'x' can't be reached now,
 * or it is an invalid entry for --cluster.` (22.05).
 */
export function saysClusterIsDown(stderr: string): boolean {
  return /error: '.*' can't be reached now/.test(stderr) && !saysNoSuchCluster(stderr);
}

/** Returns whether a program says that slurmdbd knows no cluster of that name. */
export function saysNoSuchCluster(stderr: string): boolean {
  return /error: No cluster '/.test(stderr);
}

/** Returns an outcome in words that follow the program's name. */
export function explain(outcome: Outcome, timeoutMs: number, output: string, code: number): string {
  switch (outcome) {
    case "answered":
      return "answered";
    case "unknown-id":
      return "does not know the job";
    case "accounting-disabled":
      return "has no accounting: it is disabled on this cluster";
    case "slurmdbd-down":
      return "cannot reach slurmdbd";
    case "slurmctld-down":
      return "cannot reach slurmctld";
    case "not-configured":
      return "finds no configuration of Slurm (slurm.conf)";
    case "timeout":
      return `did not answer within ${timeoutMs / 1000} s`;
    default: {
      const line = output.split("\n").find((line) => line.trim() !== "") ?? "";
      return `failed with exit code ${code}${line === "" ? "" : `: ${line.trim().slice(0, 200)}`}`;
    }
  }
}
