import { DELIMITER, type TableRow } from "./table.ts";
import { parseReference, parseTime } from "./fields.ts";
import { classifyState } from "./states.ts";
import type { StateRow } from "./report.ts";

/** The columns of {@link squeueArgv}; the reason comes last, as it may hold an administrator's. */
export const SQUEUE_COLUMNS: readonly string[] = [
  "JobID",
  "JobIDRaw",
  "State",
  "Submit",
  "Start",
  "End",
  "Reason",
];

/**
 * Returns the argv that asks squeue for jobs by id, finished ones that slurmctld still holds
 * included, with one line for each array task: a task list in one line is cut (22.05).
 */
export function squeueArgv(jobIds: readonly string[], cluster?: string): string[] {
  return [
    "squeue",
    "--noheader",
    "--array",
    "--states=all",
    `--format=${["%i", "%A", "%T", "%V", "%S", "%e", "%r"].join(DELIMITER)}`,
    ...(cluster === undefined ? [] : [`--clusters=${cluster}`]),
    `--jobs=${jobIds.join(",")}`,
  ];
}

/** Returns a row of squeue's as states, or undefined for what is no job row. */
export function squeueStateRow(row: TableRow): StateRow | undefined {
  const reference = parseReference(row["JobID"] ?? "");
  if (reference === undefined) return undefined;
  const state = classifyState(row["State"] ?? "");
  const reason = row["Reason"];
  return {
    source: "squeue",
    reference,
    rawId: row["JobIDRaw"],
    state,
    exit: undefined,
    submit: parseTime(row["Submit"]),
    // Of a pending job these are forecasts.
    start: state.phase === "pending" ? undefined : parseTime(row["Start"]),
    end: state.phase === "running" || state.phase === "pending" ? undefined : parseTime(row["End"]),
    reason: reason === "None" || reason === "" ? undefined : reason,
  };
}
