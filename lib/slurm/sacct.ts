import { DELIMITER, type TableRow } from "./table.ts";
import { parseExit, parseReference, parseTime } from "./fields.ts";
import { classifyState } from "./states.ts";
import type { StateRow } from "./report.ts";

/** The columns of the cheap state query: none holds text of a user's. */
export const STATE_COLUMNS: readonly string[] = [
  "JobID",
  "JobIDRaw",
  "State",
  "ExitCode",
  "Submit",
  "Start",
  "End",
  "Reason",
];

/**
 * The columns of the accounting query; all are known to sacct 20.11. For QOS, and for columns of TRES by
 * their names, sacct asks slurmdbd once more, which takes it as long again each time (22.05).
 */
export const ACCOUNTING_COLUMNS: readonly string[] = [
  "JobID",
  "JobIDRaw",
  "State",
  "ExitCode",
  "DerivedExitCode",
  "Submit",
  "Start",
  "End",
  "ElapsedRaw",
  "TimelimitRaw",
  "AllocCPUS",
  "ReqCPUS",
  "ReqMem",
  "MaxRSS",
  "AveRSS",
  "NTasks",
  "TotalCPU",
  "NNodes",
  "NodeList",
  "Partition",
  "Cluster",
  "Priority",
];

/** How sacct is asked. */
export interface SacctQuery {
  /** Plain job ids: one bad word among them voids the answers for all. */
  readonly jobIds: readonly string[];
  readonly columns: readonly string[];
  /** Adds the steps, which alone have MaxRSS. */
  readonly steps?: boolean;
  /** Adds the earlier runs of jobs that were requeued, each with the submit time of that run. */
  readonly earlierRuns?: boolean;
  readonly cluster?: string;
}

/**
 * Returns the argv that asks sacct for jobs by id, for all users where the site lets one see them.
 * With `-j` the search starts at the beginning of time, and a master id or leader id returns all
 * tasks or components.
 */
export function sacctArgv(
  { jobIds, columns, steps, earlierRuns, cluster }: SacctQuery,
): string[] {
  return [
    "sacct",
    "--allusers",
    ...(steps === true ? [] : ["--allocations"]),
    ...(earlierRuns === true ? ["--duplicates"] : []),
    ...TABLE_OPTIONS,
    `--format=${columns.join(",")}`,
    ...(cluster === undefined ? [] : [`--clusters=${cluster}`]),
    `--jobs=${jobIds.join(",")}`,
  ];
}

/**
 * Returns the argv that asks sacct, on all clusters it knows or on one, for the user's own jobs of the last
 * so many seconds. Naming the states finds jobs that were cancelled before they could start, too;
 * those that wait for a release or a dependency are in no search by time (22.05).
 */
export function sacctSearchArgv(
  columns: readonly string[],
  lastSeconds: number,
  cluster?: string,
): string[] {
  return [
    "sacct",
    cluster === undefined ? "--allclusters" : `--clusters=${cluster}`,
    "--allocations",
    ...TABLE_OPTIONS,
    `--format=${columns.join(",")}`,
    `--state=${SEARCHED_STATES.join(",")}`,
    `--starttime=now-${Math.ceil(lastSeconds)}seconds`,
    "--endtime=now",
  ];
}

const SEARCHED_STATES: readonly string[] = [
  "PENDING",
  "RUNNING",
  "SUSPENDED",
  "REQUEUED",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "TIMEOUT",
  "NODE_FAIL",
  "PREEMPTED",
  "BOOT_FAIL",
  "DEADLINE",
  "OUT_OF_MEMORY",
];

const TABLE_OPTIONS: readonly string[] = [
  "--noheader",
  "--parsable2",
  `--delimiter=${DELIMITER}`,
  "--noconvert",
];

/**
 * Returns the column that sacct refuses, which voids the whole query:
 * `sacct: error: Invalid field requested: "StdOut"` (a column from 24.05, in 22.05).
 */
export function refusedColumn(stderr: string): string | undefined {
  return /Invalid field requested: "(\w+)"/.exec(stderr)?.[1];
}

/** Returns a row of the state query as states, or undefined for steps and what is no job row. */
export function sacctStateRow(row: TableRow): StateRow | undefined {
  const reference = parseReference(row["JobID"] ?? "");
  if (reference === undefined || reference.step !== undefined) return undefined;
  const reason = row["Reason"];
  return {
    source: "sacct",
    reference,
    rawId: /^\d+$/.test(row["JobIDRaw"] ?? "") ? row["JobIDRaw"] : undefined,
    state: classifyState(row["State"] ?? ""),
    exit: parseExit(row["ExitCode"]),
    submit: parseTime(row["Submit"]),
    start: parseTime(row["Start"]),
    end: parseTime(row["End"]),
    reason: reason === "None" || reason === "" ? undefined : reason,
  };
}
