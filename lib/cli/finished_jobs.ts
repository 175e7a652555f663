import type { ChangedFile } from "../commands/changed_files.ts";
import type { FinishedJob } from "../commands/finish.ts";
import type { FinishNotes } from "../commands/gather_results.ts";
import { nameOfJob } from "../commands/job_files.ts";
import { firstOf } from "../errors.ts";
import { harmless } from "../record/show.ts";
import { jobName, stateWord } from "../record/subject.ts";
import type { JobReport } from "../slurm/report.ts";
import {
  CLOSED,
  closedInWords,
  hintOnLiveJob,
  mergeHint,
  ON_FAILED_JOBS,
  onBranch,
  stateDetails,
  taskCounts,
  unknownBecause,
} from "./job_state.ts";
import { fitsScreen } from "./pager.ts";
import { shortageInWords } from "./shortage.ts";
import { painted, phaseStyle } from "./style.ts";
import type { Terminal } from "./terminal.ts";
import { localTime } from "./times.ts";

/**
 * Shows what became of jobs, a line each. On a terminal that has not room for all of them those
 * that went as they should are counted.
 */
export function showFinished(jobs: readonly FinishedJob[], terminal: Terminal): void {
  const hints = new Map<string, FinishedJob[]>();
  const fits = fitsScreen(jobs.length, terminal);
  const committed: FinishedJob[] = [];
  let open = 0;
  let logsLeft = MOST_LOGS;
  for (const finished of jobs) {
    const { outcome, notes } = finished;
    if (fits || !isPlain(finished)) terminal.result(lineOf(finished, terminal));
    else if (outcome === "live") open++;
    else committed.push(finished);
    if (outcome === "unknown") {
      const [reason, ...others] = unknownBecause(finished.report, finished.left, terminal);
      terminal.warn(`${nameOf(finished)}: ${reason}`);
      for (const line of others) terminal.say(`  ${line}`);
    }
    if (notes !== undefined) showNotes(finished, notes, terminal);
    const shortages = (finished.shortages ?? []).map(shortageInWords);
    for (const { happened } of shortages) terminal.say(`${nameOf(finished)}: ${happened}`);
    // Thousands of failed jobs need no list of all logs.
    if (outcome === "failed" && finished.logs !== undefined && logsLeft-- > 0) {
      showLogs(finished, terminal);
    }
    for (const hint of [...shortages.map(({ hint }) => hint), ...hintsOf(finished)]) {
      if (hint === undefined) continue;
      const those = hints.get(hint);
      if (those === undefined) hints.set(hint, [finished]);
      else those.push(finished);
    }
  }
  if (committed.length > 0) {
    terminal.result(`${jobsOf(committed.length)} committed${commitsOf(committed)}`);
  }
  if (open > 0) terminal.result(`${jobsOf(open)} pending or running, left open`);
  // Thousands of failed jobs need one hint.
  for (const [hint, those] of hints) {
    // Where it is not meant for all, or names its job itself, it is said for whom it is.
    const isForAll = those.length === jobs.length;
    const namesJob = those.length === 1 && those.some(({ job }) => hint.includes(job.jobId));
    terminal.hint(isForAll || namesJob ? hint : `For ${listed(those)}: ${hint}`);
  }
}

function isPlain({ outcome }: FinishedJob): boolean {
  return outcome === "finished" || outcome === "closed" || outcome === "settled" ||
    outcome === "live";
}

/** Names the first and the last commit of jobs; those on branches of their own are in no order. */
function commitsOf(jobs: readonly FinishedJob[]): string {
  const commits = jobs.flatMap(({ commit, branch }) =>
    commit === undefined || branch !== undefined ? [] : [commit.slice(0, 10)]
  );
  const [first, ...others] = commits;
  const last = others.at(-1);
  if (first === undefined) return "";
  return last === undefined ? `, as ${first}` : `, from ${first} to ${last}`;
}

function jobsOf(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}

function nameOf({ job, tasks }: FinishedJob): string {
  return `Job ${jobName(job.jobId, tasks)}`;
}

/** Of so many jobs the names stand in front of a hint. */
const MOST_NAMES = 5;

function listed(jobs: readonly FinishedJob[]): string {
  const names = jobs.map(({ job, tasks }) => jobName(job.jobId, tasks));
  return `${jobs.length === 1 ? "job" : "jobs"} ${firstOf(names, MOST_NAMES)}`;
}

function lineOf(finished: FinishedJob, { colour }: Pick<Terminal, "colour">): string {
  const { job, tasks, closedTasks, isLast, report, outcome } = finished;
  const branch = finished.branch === undefined ? "" : ` ${onBranch(finished.branch)}`;
  const commit = `${finished.commit?.slice(0, 10)}${branch}`;
  const word = stateWord(report?.state ?? "UNKNOWN");
  const state = colour ? painted(word, phaseStyle(report?.phase)) : word;
  const counts = report === undefined || tasks !== undefined ? [] : taskCounts(job, report);
  const details = report === undefined ? "" : stateDetails(report, counts);
  // How a job failed was said when it was left open.
  const known = report?.assumed === true
    ? " (assumed)"
    : report?.phase === "completed"
    ? stateDetails(report)
    : "";
  const text = {
    "finished": `${state}${known}, committed as ${commit}` +
      (closedTasks === undefined ? "" : `, ${closedInWords(closedTasks)}`),
    "closed": `${state}${known}, ${CLOSED} as ${commit}`,
    "live": `${state}${details}, left open`,
    "failed": `${state}${details}, left open`,
    "not added": `${state}${details}, left open: not all of its files could be added`,
    "unknown": "Unknown, left open",
    "elsewhere": "submitted from another clone, left open",
    "on a branch": `finished on the branch job-${nameOfJob(job)}`,
    "settled": "finished by another process meanwhile",
    "not in history": "its schedule commit was taken off the branch meanwhile, left alone",
  }[outcome];
  const rest = tasks !== undefined && isLast === true ? `; job ${job.jobId} is finished` : "";
  return `${nameOf(finished)}: ${text}${rest}`;
}

function hintsOf({ job, tasks, report, outcome }: FinishedJob): (string | undefined)[] {
  switch (outcome) {
    case "live":
      return [report && hintOnLiveJob(report)];
    case "unknown":
      return [
        "If you know how a job ended that Slurm does not know, say so: datalad-slurm finish " +
        "--assume-state completed JOBID, or failed",
      ];
    case "failed":
      return [
        ON_FAILED_JOBS,
        // What is named by task is committed by task already.
        tasks === undefined && report?.tasks?.some(({ phase }) => phase === "completed")
          ? "--array-tasks commits the tasks that are complete; once all of an array is finished, " +
            "datalad-slurm reschedule --failed-tasks COMMIT submits the others again"
          : undefined,
      ];
    case "not added":
      return [
        "Put right what keeps the files from being added, or move them away; then finish again",
      ];
    case "elsewhere":
      return ["Finish jobs of another clone there, where their files are, or use --other-clones"];
    case "on a branch":
      return [mergeHint([`job-${nameOfJob(job)}`])];
    case "not in history":
      return [
        "Files of jobs that were left alone are where they were; git reflog shows their commits",
      ];
    default:
      return [];
  }
}

/** Of so many jobs it is said where their logs are, and so many are named of an array. */
const MOST_LOGS = 5;

function showLogs(finished: FinishedJob, terminal: Terminal): void {
  const { logs = [] } = finished;
  const named = firstOf(logs.map((path) => harmless(JSON.stringify(path))), MOST_LOGS);
  if (logs.length === 1) terminal.say(`${nameOf(finished)}: Its log is ${named}`);
  if (logs.length > 1) terminal.say(`${nameOf(finished)}: Its logs are ${named}`);
}

const MOST_NOTES = 10;

function showNotes(finished: FinishedJob, notes: FinishNotes, terminal: Terminal): void {
  const job = nameOf(finished);
  const list = (texts: readonly string[]) => {
    for (const text of texts.slice(0, MOST_NOTES)) terminal.warn(`${job}: ${harmless(text)}`);
    const more = texts.length - MOST_NOTES;
    if (more > 0) terminal.warn(`${job}: the same of ${more} more`);
  };
  const each = (paths: readonly string[], what: string) =>
    list(paths.map((path) => `${JSON.stringify(path)} ${what}`));
  const because = (files: FinishNotes["failed"], what: string) =>
    list(files.map(({ path, reason }) => `${JSON.stringify(path)} ${what}: ${reason}`));
  because(notes.failed, "could not be added");
  // Of a job that is not committed nothing else is of interest yet.
  if (finished.outcome === "not added") return;
  list(
    notes.missing.map(({ path, isLog }) =>
      isLog
        ? `Its log ${JSON.stringify(path)} is not there`
        : `It has not made its declared output ${JSON.stringify(path)}`
    ),
  );
  each(notes.ignored, "is ignored by git and was not committed");
  each(notes.deleted, "was deleted by the job");
  list(notes.changed.map((file) => changeInWords(file, finished.report)));
  because(notes.impossible, "was not committed");
}

/** Says that script or input are not what they were at the submission, and since when. */
export function changeInWords(
  { path, isScript, isGone, at }: ChangedFile,
  times: Pick<JobReport, "start" | "end"> | undefined,
): string {
  const name = `the ${isScript ? "script" : "input"} ${harmless(JSON.stringify(path))}`;
  if (isScript) return `${name} has changed since the submission; the job ran it as it was then`;
  if (isGone) return `${name} is gone since the submission`;
  if (at === undefined) return `${name} has changed since the submission`;
  const { start, end } = times ?? {};
  const when = start === undefined
    ? "since the submission"
    : at < start
    ? "while the job was waiting"
    : end === undefined || at <= end
    ? "while the job ran"
    : "after the job was over";
  return `${name} was changed ${when}, at ${localTime(new Date(at * 1000))}`;
}
