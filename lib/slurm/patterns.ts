/** What is known of a batch job for the name of its log file; an absent field is not known. */
export interface PatternFields {
  /** The job's own id (`%j`, `%J`): of an array task that task's raw id, not the master's. */
  readonly jobId?: string;
  /** The array's master id (`%A`); of a job that is no array its job id. */
  readonly arrayJobId?: string;
  /** The index of the array task (`%a`, `%b`); `null` for a job that is no array. */
  readonly arrayTaskId?: number | null;
  readonly jobName?: string;
  readonly user?: string;
  /** The short name of the job's first node (`%N`). */
  readonly node?: string;
  /** Slurm's version, such as `22.05.8`; `%b` has a meaning from 24.05. */
  readonly slurmVersion?: string;
}

/** What Slurm puts for the task index of a job that is no array: NO_VAL, 0xfffffffe. */
export const NO_TASK = "4294967294";
const MAX_WIDTH = 10;

/**
 * Returns the file name that a batch job's `--output` or `--error` pattern stands for, or undefined
 * when a field in it is not known. `%5j` pads numbers with zeros (to 10 places at most), any
 * backslash switches all expansion off and is dropped, an unlisted letter stays as it is (22.05).
 */
export function expandPattern(pattern: string, fields: PatternFields): string | undefined {
  const parts = expandParts(pattern, fields);
  return parts.every((part) => part !== undefined) ? parts.join("") : undefined;
}

/**
 * Returns a glob for the file names that a pattern can stand for: what is not known becomes `*`,
 * and characters that a glob gives a meaning are put in brackets.
 */
export function patternGlob(pattern: string, fields: PatternFields): string {
  return expandParts(pattern, fields)
    .map((part) => part === undefined ? "*" : part.replace(/[*?[\]{}]/g, "[$&]"))
    .join("");
}

/**
 * Returns the pattern behind a log file path that scontrol shows for a pending array, in which the
 * index not yet given stands as `4294967294` (before 25.11): `slurm-498_4294967294.out` is
 * `slurm-498_%a.out`. A `%j` of the user's has become the master id there and cannot be told apart.
 */
export function pendingArrayPattern(path: string): string {
  return path.replaceAll(NO_TASK, "%a");
}

function expandParts(pattern: string, fields: PatternFields): (string | undefined)[] {
  if (pattern.includes("\\")) return [pattern.replace(/\\(.?)/gs, "$1")];
  const parts: (string | undefined)[] = [];
  let end = 0;
  for (const match of pattern.matchAll(/%(\d*)([A-Za-z%])/g)) {
    parts.push(pattern.slice(end, match.index));
    end = match.index + match[0].length;
    const value = replacement(match[2] ?? "", fields);
    parts.push(value === LITERAL ? match[0] : padded(value, match[1] ?? ""));
  }
  parts.push(pattern.slice(end));
  return parts;
}

/** Says that a letter has no meaning to Slurm and is kept. */
const LITERAL = Symbol();

function replacement(letter: string, fields: PatternFields): string | undefined | typeof LITERAL {
  switch (letter) {
    case "%":
      return "%";
    case "j":
    case "J": // JOB.STEP in srun; a batch script has the job id alone
      return fields.jobId;
    case "A":
      return fields.arrayJobId ?? (fields.arrayTaskId === null ? fields.jobId : undefined);
    case "a":
      return fields.arrayTaskId === null ? NO_TASK : fields.arrayTaskId?.toString();
    case "b":
      return moduloTen(fields);
    case "x":
      return fields.jobName;
    case "u":
      return fields.user;
    case "N":
      return fields.node;
    case "n":
    case "t":
      return "0"; // a batch script runs on the first node, as the first task
    case "s":
      return "batch";
    default:
      return LITERAL;
  }
}

function moduloTen(fields: PatternFields): string | undefined | typeof LITERAL {
  const version = /^(\d+)\.(\d+)/.exec(fields.slurmVersion ?? "");
  if (version === null) return undefined;
  if (Number(version[1]) * 100 + Number(version[2]) < 2405) return LITERAL;
  if (fields.arrayTaskId === undefined) return undefined;
  return String(Number(fields.arrayTaskId ?? NO_TASK) % 10);
}

function padded(value: string | undefined, width: string): string | undefined {
  if (value === undefined || width === "" || !/^\d+$/.test(value)) return value;
  return value.padStart(Math.min(Number(width), MAX_WIDTH), "0");
}
