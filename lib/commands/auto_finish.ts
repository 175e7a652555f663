import type { Dataset } from "../dataset/dataset.ts";
import { jobKeyOf, type RecordedJob } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { uninterrupted } from "../process/interruption.ts";
import { ownProgram } from "../process/own_program.ts";
import { run } from "../process/run.ts";
import { splitWords } from "../record/command.ts";
import type { ToolPart } from "../record/schema.ts";
import { finisherArgv, finisherEnvironment, inheritedOptions } from "../slurm/finisher.ts";
import { standInPath } from "../slurm/local/choice.ts";
import { jobKey } from "../slurm/query.ts";
import type { JobQuery, JobReport } from "../slurm/report.ts";
import { showJobs } from "../slurm/show_job.ts";
import { isStandIn } from "../slurm/stand_in.ts";
import { isLive } from "../slurm/states.ts";
import { parseSubmissions, type Submission } from "../slurm/submission.ts";
import { autoFinishFiles } from "../store/auto_finish.ts";
import { findHolder } from "../store/reservations.ts";
import { reservedPaths } from "./reserved_paths.ts";

/** What the finishing job of a job does when that has failed. */
export type FailedJobs = "leave" | "close" | "commit";

/** How jobs are to be finished by jobs of their own. */
export interface AutoFinish {
  /** As the setting `failed-jobs` has it where absent. */
  readonly failedJobs: FailedJobs | undefined;
  /** Options of sbatch, in one text; the configured ones when absent, else the job's own. */
  readonly options: string | undefined;
}

/** A job whose finishing job is to be submitted. */
export interface JobToFinish {
  readonly token: string;
  readonly submission: Submission;
  readonly autoFinish: AutoFinish;
}

/** What became of the submission of a finishing job. */
export type Finisher = { readonly jobId: string } | { readonly problem: string };

/** Git's name for options of sbatch for finishing jobs. */
const OPTIONS = "datalad-slurm.autofinish.sbatch";

/** So many seconds after its job's end a finishing job waits for Slurm to say how that ended. */
const PATIENCE_SECONDS = 900;

/** Returns the options of sbatch that are asked for, as words; undefined where none are. */
export function finisherOptions(
  { configuration }: Dataset,
  { options }: AutoFinish,
): string[] | undefined {
  const given = options ?? configuration.get(OPTIONS);
  if (given === undefined) return undefined;
  const words = splitWords(given);
  if (words !== undefined) return words;
  const name = options === undefined ? OPTIONS : "--auto-finish";
  throw new ToolError("usage", `The quotes in ${name} do not match: ${JSON.stringify(given)}`, {
    hint: "Such as: --auto-finish='--partition=short --time=10'",
  });
}

/**
 * Submits a finishing job for each of some jobs that are recorded, a few at a time, and returns
 * what became of it by token. The finishing job is no recorded job, and its log is below the git
 * directory. One that is refused changes nothing about the job itself.
 */
export async function submitFinishers(
  dataset: Dataset,
  jobs: readonly JobToFinish[],
  parallel: number,
): Promise<Map<string, Finisher>> {
  const isInherited = jobs.some(({ autoFinish }) =>
    finisherOptions(dataset, autoFinish) === undefined
  );
  const shown = isInherited
    ? await showJobs(jobs.map(({ submission }) => submission))
    : new Map<string, never>();
  const finishers = new Map<string, Finisher>();
  const queue = [...jobs];
  const work = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const options = finisherOptions(dataset, job.autoFinish) ??
        inheritedOptions(shown.get(jobKey(job.submission)));
      finishers.set(job.token, await submitFinisher(dataset, job, options));
    }
  };
  // Not begun halfway: what is submitted is to be known.
  await uninterrupted(() => Promise.all(Array.from({ length: parallel }, work)));
  return finishers;
}

async function submitFinisher(
  { root, settings, store }: Dataset,
  { token, submission: { jobId, cluster }, autoFinish: { failedJobs } }: JobToFinish,
  options: readonly string[],
): Promise<Finisher> {
  const own = ownProgram();
  if (own === undefined) return { problem: "the path of datalad-slurm is not known" };
  const files = autoFinishFiles(store.base, token);
  Deno.mkdirSync(files.directory, { recursive: true });
  const argv = finisherArgv({
    jobId,
    cluster: isStandIn(cluster) ? undefined : cluster,
    options,
    log: files.log,
    directory: root,
    argv: [
      ...own.argv,
      "finish",
      "--wait",
      `--timeout=${PATIENCE_SECONDS}`,
      `--${failedJobs ?? settings.failedJobs}-failed-jobs`,
      token,
    ],
    environment: own.environment,
  });
  const path = cluster !== undefined && isStandIn(cluster)
    ? { PATH: await standInPath(cluster) }
    : {};
  const script = 'out=$1 err=$2; shift 2; exec "$@" >"$out" 2>"$err"';
  await run(["/bin/sh", "-c", script, "sh", files.stdout, files.stderr, ...argv], {
    cwd: root,
    detached: true,
    outlivesUs: true,
    env: { ...finisherEnvironment(Object.keys(Deno.env.toObject())), ...path },
  });
  return readFinisher(store.base, token);
}

/** Returns what is known of a job's finishing job. */
function readFinisher(base: string, token: string): Finisher {
  const files = autoFinishFiles(base, token);
  const submission = parseSubmissions(readQuietly(files.stdout)).submissions.at(-1);
  if (submission !== undefined) return { jobId: submission.jobId };
  const said = lastLine(files.stderr);
  return {
    problem: said === undefined
      ? "it was not submitted, or that was cut short"
      : `sbatch refused it: ${said.replace(/^sbatch: (?:error: )?/, "")}`,
  };
}

/** What `status` tells of the finishing job of an open job. */
export interface FinisherStatus {
  readonly jobId: string | undefined;
  readonly report: JobReport | undefined;
  readonly log: string;
  /** Why the job will not be finished by it; undefined as long as that may be. */
  readonly problem: string | undefined;
  /** Whether it was asked to leave the job open like that, so that nothing is wrong. */
  readonly isAsAsked: boolean;
}

/** Returns the question to Slurm about a job's finishing job, where it has one. */
export function finisherQuery({ store }: Dataset, job: RecordedJob): JobQuery | undefined {
  const part = job.record.datalad_slurm;
  if (part?.auto_finish === undefined) return undefined;
  const finisher = readFinisher(store.base, jobKeyOf(job));
  if ("problem" in finisher) return undefined;
  return {
    jobId: finisher.jobId,
    ...(part.cluster === undefined ? {} : { cluster: part.cluster }),
    ...(part.submitted_at === undefined ? {} : { submittedAt: new Date(part.submitted_at) }),
  };
}

/** Returns how the finishing job of an open job is doing; undefined where none was asked for. */
export function finisherStatus(
  { store }: Dataset,
  job: RecordedJob,
  report: JobReport | undefined,
  reports: ReadonlyMap<string, JobReport>,
): FinisherStatus | undefined {
  const part: ToolPart | undefined = job.record.datalad_slurm;
  if (part?.auto_finish === undefined) return undefined;
  const { cluster } = part;
  const finisher = readFinisher(store.base, jobKeyOf(job));
  const { log } = autoFinishFiles(store.base, jobKeyOf(job));
  if ("problem" in finisher) {
    // What is kept of it, and what the job held, goes when the job is finished: on another branch.
    if (!isHeld(store.reservations, job)) return undefined;
    const problem = `There is no finishing job: ${finisher.problem}`;
    return { jobId: undefined, report: undefined, log, problem, isAsAsked: false };
  }
  const { jobId } = finisher;
  const own = reports.get(jobKey({ jobId, ...(cluster === undefined ? {} : { cluster }) }));
  const status = { jobId, report: own, log };
  if (report === undefined || isLive(report.phase) || own?.phase !== "failed") {
    return { ...status, problem: undefined, isAsAsked: false };
  }
  if (report.phase === "failed" && part.auto_finish === "leave") {
    const problem = `Its finishing job ${jobId} has left it open, as the job failed`;
    return { ...status, problem, isAsAsked: true };
  }
  const said = lastLine(log);
  const how = own.exitCode === undefined || own.exitCode === 0
    ? own.state
    : `${own.state}, exit code ${own.exitCode}`;
  const words = said === undefined ? "" : `: ${said}`;
  const problem = `Its finishing job ${jobId} has failed (${how})${words}`;
  return { ...status, problem, isAsAsked: false };
}

/** Whether outputs of a job are reserved for it, as they are as long as no branch has finished it. */
function isHeld(reservations: string, job: RecordedJob): boolean {
  return reservedPaths(job.record.outputs).some((path) =>
    findHolder(reservations, path)?.token === jobKeyOf(job)
  );
}

function lastLine(path: string): string | undefined {
  return readQuietly(path).split("\n").map((line) => line.trim()).filter((line) => line !== "")
    .findLast((line) => !line.startsWith("Hint: "));
}

function readQuietly(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
