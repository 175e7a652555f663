import type { OpenJobStatus } from "../commands/status.ts";
import { harmless } from "../record/show.ts";
import { stateWord } from "../record/subject.ts";
import { isStandIn } from "../slurm/stand_in.ts";
import type { JobPhase } from "../slurm/states.ts";
import { onBranch, stateDetails, taskCounts } from "./job_state.ts";
import { phaseStyle } from "./style.ts";
import { table, tableWithRoom } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { readableTime } from "./times.ts";

type View = Pick<Terminal, "isTerminal" | "width" | "colour">;

/** Returns the table of open jobs, a line each. */
export function statusTable(jobs: readonly OpenJobStatus[], terminal: View): string[] {
  return tableWithRoom(
    [
      { title: "COMMIT", minor: 1 },
      { title: "JOB" },
      { title: "STATE", shrinks: true },
      { title: "SINCE", minor: 2 },
      { title: "OUTPUTS", shrinks: true },
    ],
    jobs.map((status) => [
      status.job.commit.slice(0, 10),
      jobOf(status),
      { text: stateOf(status), style: phaseStyle(status.report?.phase) },
      sinceOf(status, terminal),
      { text: status.job.record.outputs.map(harmless) },
    ]),
    terminal,
  );
}

/** Returns the id of an open job and the cluster that it was sent to: ids are a cluster's own. */
function jobOf({ job: { jobId, record } }: OpenJobStatus): string {
  const cluster = record.datalad_slurm?.cluster;
  return cluster === undefined || isStandIn(cluster) ? jobId : `${jobId} on ${harmless(cluster)}`;
}

/** Returns the state of an open job; of an array how many tasks are in which state. */
export function stateOf({ job, report, branch }: OpenJobStatus): string {
  if (branch !== undefined) return onBranch(branch);
  if (report === undefined) return "in another clone";
  return `${stateWord(report.state)}${stateDetails(report, taskCounts(job, report))}`;
}

function sinceOf(status: OpenJobStatus, terminal: View): string {
  return timeText(sinceSeconds(status), terminal);
}

function sinceSeconds({ report }: OpenJobStatus): number | undefined {
  return report?.end ?? (report?.phase === "pending" ? report.submit : report?.start);
}

function timeText(seconds: number | undefined, terminal: View): string {
  return seconds === undefined ? "" : readableTime(new Date(seconds * 1000), terminal);
}

/** What asks for the reader's attention comes first. */
const ORDER: readonly (JobPhase | undefined)[] = [
  "failed",
  "unknown",
  "completed",
  "running",
  "pending",
  undefined,
];

/** Returns the open jobs counted by state, a line for each state. */
export function statusSummary(jobs: readonly OpenJobStatus[], terminal: View): string[] {
  const groups = new Map<string, OpenJobStatus[]>();
  for (const job of jobs) {
    const label = groupOf(job);
    const group = groups.get(label);
    if (group === undefined) groups.set(label, [job]);
    else group.push(job);
  }
  const place = ([, [first]]: [string, OpenJobStatus[]]) => ORDER.indexOf(first?.report?.phase);
  const sorted = [...groups].sort((a, b) => place(a) - place(b) || b[1].length - a[1].length);
  return table(
    [
      { title: "STATE", shrinks: true },
      { title: "COUNT", alignsRight: true },
      { title: "OLDEST" },
      { title: "JOBS", shrinks: true },
    ],
    sorted.map(([label, group]) => [
      { text: label, style: phaseStyle(group[0]?.report?.phase) },
      String(group.length),
      timeText(oldest(group), terminal),
      { text: group.map(({ job }) => job.jobId) },
    ]),
    terminal,
  );
}

/** The tasks of arrays are not counted: jobs of a state belong together. */
function groupOf({ report, branch }: OpenJobStatus): string {
  if (branch !== undefined) return "on a branch of its own";
  if (report === undefined) return "in another clone";
  const label = stateWord(report.state);
  return report.phase === "pending" && report.reason !== undefined
    ? `${label} (${harmless(report.reason)})`
    : label;
}

function oldest(group: readonly OpenJobStatus[]): number | undefined {
  return group.reduce<number | undefined>((least, status) => {
    const seconds = sinceSeconds(status);
    return seconds === undefined || least !== undefined && least <= seconds ? least : seconds;
  }, undefined);
}
