import { quoteWord } from "../record/command.ts";
import type { ShownJob } from "./show_job.ts";

/** A job that finishes another one when that has ended. */
export interface FinisherRequest {
  /** The job that is to be finished, and its cluster where sbatch named one. */
  readonly jobId: string;
  readonly cluster?: string | undefined;
  /** Options of sbatch. */
  readonly options: readonly string[];
  /** The absolute path of its log file. */
  readonly log: string;
  /** The absolute directory that it runs in. */
  readonly directory: string;
  /** The command that it runs, and variables for it. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Returns the argv that submits a finishing job; it waits for the job however that ends. */
export function finisherArgv(request: FinisherRequest): string[] {
  const { jobId, cluster, options, log, directory, argv, environment } = request;
  const variables = Object.entries(environment).map(([name, value]) =>
    `${name}=${quoteWord(value)} `
  ).join("");
  return [
    "sbatch",
    ...options,
    ...(cluster === undefined ? [] : [`--clusters=${cluster}`]),
    `--job-name=finish-${jobId}`,
    `--dependency=afterany:${jobId}`,
    // Should the job be purged before: not to wait for ever.
    "--kill-on-invalid-dep=yes",
    `--output=${log.replaceAll("%", "%%")}`,
    "--open-mode=append",
    `--chdir=${directory}`,
    "--export=ALL",
    `--wrap=${variables}exec ${argv.map(quoteWord).join(" ")}`,
  ];
}

/** Returns the options of sbatch by which a job goes where another one went. */
export function inheritedOptions(job: ShownJob | undefined): string[] {
  const { partition, account, qos } = job ?? {};
  return [
    ...(partition === undefined ? [] : [`--partition=${partition}`]),
    ...(account === undefined ? [] : [`--account=${account}`]),
    ...(qos === undefined ? [] : [`--qos=${qos}`]),
  ];
}

/** What of Slurm's variables a finishing job's sbatch sees: where the cluster is, who pays. */
const KEPT: ReadonlySet<string> = new Set([
  "SLURM_CONF",
  "SBATCH_ACCOUNT",
  "SBATCH_PARTITION",
  "SBATCH_QOS",
  "SBATCH_RESERVATION",
]);

/**
 * Returns changes to an environment without the variables that would make the finishing job like
 * the job (SBATCH_ARRAY_INX, SBATCH_WAIT, …), or that a batch script has from its own job.
 */
export function finisherEnvironment(names: readonly string[]): Record<string, undefined> {
  return Object.fromEntries(
    names.filter((name) => /^S(?:LURM|BATCH)_/.test(name) && !KEPT.has(name))
      .map((name) => [name, undefined]),
  );
}
