import { ToolError } from "../errors.ts";
import type { Configuration } from "../git/config.ts";

/** The defaults that a user sets with `git config`. */
export interface Settings {
  /** How long the repository lock is waited for, in milliseconds; for ever when undefined. */
  readonly lockTimeoutMs: number | undefined;
  /** How many files are fetched at a time. */
  readonly transfers: number | undefined;
  readonly failedJobs: "leave" | "commit" | "close";
  /** Where jobs are submitted to. */
  readonly slurm: "cluster" | "local" | undefined;
}

/** One key of the configuration. */
export interface SettingSpec {
  readonly key: string;
  /** What stands for the value in the documentation. */
  readonly value: string;
  readonly help: string;
  /** What a value has to look like, and that in words. */
  readonly pattern: RegExp;
  readonly expected: string;
  /**
   * Whether `.datalad/config` may set it as well: that file travels with the dataset and may be
   * somebody else's, so it must have no say in what runs where.
   */
  readonly shared: boolean;
}

export const LOCK_TIMEOUT_KEY = "datalad-slurm.lock-timeout";
export const JOBS_KEY = "datalad-slurm.jobs";
export const FAILED_JOBS_KEY = "datalad-slurm.failed-jobs";
export const SLURM_KEY = "datalad-slurm.slurm";

/** All keys. The options of the command line stand above them. */
export const SETTINGS: readonly SettingSpec[] = [
  {
    key: LOCK_TIMEOUT_KEY,
    value: "SECONDS",
    help: "How long commands wait for the repository lock, as `--lock-timeout` says; for ever " +
      "when it is not set",
    pattern: /^\d{1,6}(?:\.\d+)?$/,
    expected: "a number of seconds",
    shared: true,
  },
  {
    key: JOBS_KEY,
    value: "N",
    help: "How many files git-annex fetches at a time, as `--jobs` says",
    pattern: /^[1-9]\d{0,2}$/,
    expected: "a number from 1 to 999",
    shared: true,
  },
  {
    key: FAILED_JOBS_KEY,
    value: "leave|commit|close",
    help: "What finish does with jobs that failed: leave them open, which is the default, commit " +
      "what they left, or close them without outputs",
    pattern: /^(?:leave|commit|close)$/,
    expected: "leave, commit or close",
    shared: true,
  },
  {
    key: SLURM_KEY,
    value: "cluster|local",
    help: "Where jobs are submitted to, as `--slurm` and DATALAD_SLURM say, which stand above it",
    pattern: /^(?:cluster|local)$/,
    expected: "cluster or local",
    shared: false,
  },
  {
    key: "datalad-slurm.autofinish.sbatch",
    value: "OPTIONS",
    help: "Options of sbatch for the jobs of `--auto-finish`, such as `--partition=short`",
    pattern: /^[^]*$/,
    expected: "options of sbatch",
    shared: false,
  },
];

/** Keys of the section that the tool writes for itself. */
export const OWN_KEYS: readonly string[] = ["datalad-slurm.uuid"];

/** Returns the settings in force. Throws a {@link ToolError} that names the key and the file. */
export function readSettings(configuration: Configuration): Settings {
  const values = new Map(SETTINGS.map((spec) => [spec.key, valueOf(configuration, spec)]));
  const seconds = values.get(LOCK_TIMEOUT_KEY);
  const jobs = values.get(JOBS_KEY);
  return {
    lockTimeoutMs: seconds === undefined ? undefined : Number(seconds) * 1000,
    transfers: jobs === undefined ? undefined : Number(jobs),
    failedJobs: (values.get(FAILED_JOBS_KEY) ?? "leave") as Settings["failedJobs"],
    slurm: values.get(SLURM_KEY) as Settings["slurm"],
  };
}

function valueOf(configuration: Configuration, spec: SettingSpec): string | undefined {
  const { key, shared, pattern, expected } = spec;
  const found = configuration.find(key, shared);
  if (found === undefined) return undefined;
  if (pattern.test(found.value)) return found.value;
  throw new ToolError(
    "refused",
    `${key} is ${JSON.stringify(found.value)}, in ${found.origin}`,
    { hint: `It has to be ${expected}; change it there, or with: git config ${key} VALUE` },
  );
}
