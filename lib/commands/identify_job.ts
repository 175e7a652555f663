import { ToolError } from "../errors.ts";
import { explainFailure } from "../process/explain.ts";
import { sleep } from "../process/interruption.ts";
import { absolutePath } from "../paths.ts";
import { clustersNamedIn } from "../slurm/clusters.ts";
import { findInQueue } from "../slurm/find_in_queue.ts";
import { isSameHost, type Recovery, type SubmissionTrace } from "../slurm/recover.ts";
import { CLOCK_SLACK } from "../slurm/report.ts";
import { readSbatchCall } from "../slurm/sbatch_call.ts";
import { showJob, type Shown, type ShownJob } from "../slurm/show_job.ts";
import { atStandIn } from "../slurm/stand_in.ts";
import {
  parseSubmissions,
  saysNoAnswer,
  saysRefused,
  saysTestOnly,
  type Submission,
} from "../slurm/submission.ts";
import type { SubmissionEntry, SubmissionFiles } from "../store/journal.ts";
import { type Ended, hasBegun, type Printed, readPrinted } from "./submitting_command.ts";

/** The job that a command has submitted. */
export interface Identified {
  readonly submission: Submission;
  /** What slurmctld knows of it, where it had to be asked. */
  readonly job?: ShownJob | undefined;
  /** Jobs that the same command submitted as well, and that are not recorded. */
  readonly others: readonly Submission[];
}

/** Says that no job was submitted, for sure. */
export class NotSubmitted extends ToolError {}

/** Pauses between looks for a job that slurmctld may still be about to accept, in milliseconds. */
const PAUSES = [500, 1500, 4000];

/** For so long after sbatch gave up slurmctld may accept its job, in milliseconds. */
const SETTLING_MS = 120_000;

/** Finds out which job a command has submitted; throws when it is none, or not known. */
export async function identify(
  entry: SubmissionEntry,
  result: Ended | undefined,
  files: SubmissionFiles,
  printed: Printed,
): Promise<Identified> {
  // The shell that is to begin the command did not get so far, or the entry is gone.
  if (!hasBegun(files)) throw notSubmitted(entry, result, printed);
  const trace = traceOf(entry, files);
  const named = await identifyNamed(printed, trace, findInQueue);
  if (named !== undefined) return named;
  const lost = saysNoAnswer(printed.stderr) || endedBySignal(result);
  for (const wait of [0, ...lost ? PAUSES : []]) {
    if (wait > 0) await sleep(wait);
    const search = await findInQueue(trace, { withRefused: !saysRefused(printed.stderr) });
    const found = identifyFound(search.found);
    if (found !== undefined) return found;
    if (lost) continue;
    // Where sbatch was refused, a Slurm that cannot be asked has nothing to add.
    if (search.conclusive || saysRefused(printed.stderr)) {
      throw notSubmitted(entry, result, printed);
    }
    throw inDoubt(entry, search.asked, printed);
  }
  throw inDoubt(entry, [], printed);
}

/** A shell that was not itself the victim gives 128 and the signal's number. */
function endedBySignal(result: Ended | undefined): boolean {
  return result !== undefined &&
    (result.signal !== null || result.code > 128 && result.code <= 128 + 64);
}

/**
 * Returns the job that stdout names, or undefined when it names none. Several are told apart by their
 * place: the last one is meant, and the others are reported. A bare number may be a site's banner, so
 * that slurmctld must know a job of that number as submitted by now, and where it does not come from
 * the command's session, none may that does.
 */
export async function identifyNamed(
  printed: Printed,
  trace: SubmissionTrace,
  search: (trace: SubmissionTrace) => Promise<Recovery>,
): Promise<Identified | undefined> {
  const { submissions, bare } = parseSubmissions(printed.stdout);
  const named = submissions.at(-1);
  const last = named && atStandIn(named, printed.stderr, trace.cluster);
  if (last === undefined) return undefined;
  if (!bare) {
    return { submission: last, others: submissions.filter(({ jobId }) => jobId !== last.jobId) };
  }
  const shown = await showJob(last);
  if (!isFromSession(shown, trace)) {
    const found = identifyFound((await search(trace)).found);
    if (found !== undefined) return found;
    if (isEarlier(shown, trace)) return undefined;
  }
  return { submission: last, job: jobIn(shown), others: [] };
}

/** Returns the last submitted of the jobs that a search has found. */
export function identifyFound(found: readonly Submission[]): Identified | undefined {
  const last = [...found].sort((a, b) => Number(a.jobId) - Number(b.jobId)).at(-1);
  if (last === undefined) return undefined;
  const others = found.filter(({ jobId }) => jobId !== last.jobId);
  return { submission: last, others };
}

function jobIn(shown: Shown): ShownJob | undefined {
  return typeof shown === "string" ? undefined : shown.job;
}

function isFromSession(shown: Shown, trace: SubmissionTrace): boolean {
  const origin = jobIn(shown)?.origin;
  return origin !== undefined && origin.session === String(trace.sessionId) &&
    isSameHost(origin.host, trace.host) && !isEarlier(shown, trace);
}

/** Whether slurmctld knows no job of that number, or one that was there before the command. */
function isEarlier(shown: Shown, { since }: SubmissionTrace): boolean {
  if (shown === "unknown id") return true;
  const submitted = jobIn(shown)?.submitTime;
  return submitted !== undefined && submitted < since.getTime() / 1000 - CLOCK_SLACK;
}

/** Returns by what a submission can be found again. */
export function traceOf(entry: SubmissionEntry, files: SubmissionFiles): SubmissionTrace {
  return {
    token: entry.token,
    sessionId: Number(Deno.readTextFileSync(files.session)),
    host: entry.owner.host,
    since: new Date(entry.since),
    ...(entry.cluster === undefined ? {} : { cluster: entry.cluster }),
    namedClusters: () => namedClusters(entry),
  };
}

/** Returns the clusters that a command names, its batch script, or the environment that is ours now. */
function namedClusters({ command, directory }: SubmissionEntry): string[] {
  const read = readSbatchCall(command);
  const script = "call" in read ? read.call.script : undefined;
  const variables = ["SBATCH_CLUSTERS", "SLURM_CLUSTERS"].map((name) => Deno.env.get(name));
  return clustersNamedIn([
    command,
    ...(script === undefined ? [] : directivesOf(absolutePath(script, directory))),
    ...variables.filter((list) => list !== undefined).map((list) => `--clusters=${list}`),
  ].join("\n"));
}

function directivesOf(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n").filter((line) => line.startsWith("#SBATCH"));
  } catch {
    // It is gone, or no file: then nothing is known of it.
    return [];
  }
}

/**
 * Whether slurmctld may still accept the job of a command that has ended: sbatch gave up waiting for
 * its answer, and that was a moment ago.
 */
export function mayStillBeAccepted(files: SubmissionFiles): boolean {
  if (!saysNoAnswer(readPrinted(files).stderr)) return false;
  const gaveUp = Deno.statSync(files.stderr).mtime?.getTime() ?? 0;
  return Date.now() - gaveUp < SETTLING_MS;
}

function inDoubt(entry: SubmissionEntry, asked: readonly string[], printed: Printed): ToolError {
  return new ToolError("external", "It is not known whether a job was submitted", {
    hint: "Do not submit it again yet: any later datalad-slurm command looks for the job again, " +
      "and `datalad-slurm recover` says what is known",
    details: [`Command: ${entry.command}`, printed.stderr.trim(), ...asked].filter((line) =>
      line !== ""
    ).join("\n"),
  });
}

function notSubmitted(
  entry: SubmissionEntry,
  result: Ended | undefined,
  printed: Printed,
): ToolError {
  const output = [printed.stdout.trim(), printed.stderr.trim(), result?.stderr.trim() ?? ""]
    .filter((part) => part !== "").join("\n");
  const testOnly = saysTestOnly(printed.stderr);
  const code = result?.code ?? 0;
  const known = testOnly ? undefined : explainFailure(output);
  const message = testOnly ? "sbatch --test-only submits nothing" : "The command submitted no job";
  return new NotSubmitted(
    code === 0 ? "refused" : "external",
    known === undefined ? message : `${message}: ${known.means}`,
    {
      hint: testOnly
        ? "Leave --test-only out to submit the job"
        : known?.hint ?? "A job is known by what sbatch prints, such as: Submitted batch job 123",
      details: [
        `Command: ${entry.command}`,
        `Exit code: ${code}`,
        output === "" ? "It printed nothing" : output,
      ].join("\n"),
    },
  );
}

/** Returns what the reader should know of the way in which a command submitted its job. */
export function submissionWarnings(
  { submission, others }: Identified,
  result: Ended | undefined,
): string[] {
  const ids = others.map(({ jobId }) => jobId).join(", ");
  return [
    ...(others.length === 0 ? [] : [
      `The command submitted more than one job; recorded is ${submission.jobId}, the last, ` +
      `but not ${ids}`,
    ]),
    ...(result === undefined || result.code === 0 ? [] : [
      `The command ended with exit code ${result.code}, but job ${submission.jobId} was submitted`,
    ]),
  ];
}
