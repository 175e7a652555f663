import { cloneId, type Dataset, makeCloneId, userUmask } from "../dataset/dataset.ts";
import { jobKeyOf, readHistory, readOpenJobs } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { createCommit } from "../git/commit.ts";
import type { GetProgress } from "../git/get.ts";
import { readTip } from "../git/refs.ts";
import { run, type RunResult } from "../process/run.ts";
import { encodeMessage } from "../record/message.ts";
import type { ToolPart, WrittenRecord } from "../record/schema.ts";
import { joinPath } from "../paths.ts";
import { copyInputs } from "./alt_dir.ts";
import { describeSubmission } from "./submitted_job.ts";
import { findInQueue } from "../slurm/find_in_queue.ts";
import type { SubmissionTrace } from "../slurm/recover.ts";
import { parseSubmissions, saysTestOnly, type Submission } from "../slurm/submission.ts";
import {
  hasEntry,
  listEntries,
  readEntry,
  removeEntry,
  type SubmissionEntry,
  type SubmissionFiles,
  submissionFiles,
  writeEntry,
} from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { tagSbatch } from "../store/tagged_sbatch.ts";
import {
  type Conflict,
  findHolder,
  hasReservations,
  rebuildReservations,
  release,
  reserve,
} from "../store/reservations.ts";
import { throwIfInterrupted, uninterrupted } from "../process/interruption.ts";
import { endlessly, locked, type LockPatience } from "./locked.ts";
import { prepareInputs } from "./prepare_inputs.ts";
import { type PreparedOutput, prepareOutputs, takeBackOutputs } from "./prepare_outputs.ts";
import { releaseInSubdatasets, reserveInSubdatasets } from "./reserve_outputs.ts";
import { reservedPaths } from "./reserved_paths.ts";
import { newToken } from "./token.ts";

/** A record but for what only the submission tells. */
export interface RecordTemplate {
  readonly chain: string[];
  readonly cmd: string | string[];
  readonly dsid?: string;
  readonly extra_inputs: string[];
  readonly inputs: string[];
  readonly outputs: string[];
  readonly pwd: string;
  /** The absolute directory outside the dataset that the job runs in. */
  readonly alt_dir?: string;
}

/** A job to be submitted, with everything checked that can be checked beforehand. */
export interface SubmissionRequest {
  readonly kind: "schedule" | "reschedule";
  readonly record: RecordTemplate;
  /** The command line for the shell, placeholders filled in. */
  readonly command: string;
  readonly message: string | undefined;
  readonly preparation: Preparation;
  /** Whether to wait for outputs that an open job holds, instead of refusing. */
  readonly waitForOutputs: boolean;
  /** Files of the dataset that the command itself names, such as the batch script. */
  readonly scripts: readonly string[];
}

/** How inputs and outputs are made ready before the command runs. */
export interface Preparation {
  /** What is taken to be ready as it is. */
  readonly assumeReady?: "inputs" | "outputs" | "both" | undefined;
  /** How many files are fetched at a time. */
  readonly transfers?: number | undefined;
  readonly progress?: GetProgress | undefined;
}

/** A job that was submitted and recorded. */
export interface SubmittedJob extends Submission {
  /** The commit that records it. */
  readonly commit: string;
  /** What the submitting command printed on stderr. */
  readonly stderr: string;
  /** What the reader should know besides. */
  readonly warnings: readonly string[];
}

/**
 * Submits a job and records it: reserves its outputs, runs the command, commits the record. A
 * journal entry stands from before the submission until after the commit, so that a job that Slurm
 * has accepted is found again whatever happens. Throws a {@link ToolError} when an output is held
 * by an open job, and when nothing was submitted; then nothing has changed.
 */
export async function submit(
  dataset: Dataset,
  request: SubmissionRequest,
  patience: LockPatience,
): Promise<SubmittedJob> {
  const entry = await open(dataset, request, patience);
  const files = submissionFiles(dataset.store.journal, entry.token);
  let submission: Submission;
  let printed: Printed;
  const prepared: PreparedOutput[] = [];
  try {
    await prepare(dataset, request, prepared);
    throwIfInterrupted();
    const result = await runCommand(entry, files);
    printed = readPrinted(files);
    submission = await identify(entry, result, files, printed);
  } catch (error) {
    // Once the command has begun, only its own word that it submitted nothing ends the matter:
    // otherwise the entry stays, and a later command looks for the job again.
    if (error instanceof NotSubmitted || !hasBegun(files)) {
      await uninterrupted(async () => {
        await takeBackOutputs(prepared);
        await discard(dataset, entry, endlessly(patience));
      });
    }
    throw error;
  }
  const commit = await uninterrupted(() =>
    recordSubmission(dataset, entry, submission, endlessly(patience))
  );
  return {
    ...submission,
    commit,
    stderr: printed.stderr,
    warnings: otherSubmissions(printed.stdout, submission),
  };
}

/** Writes the journal entry and reserves the outputs, as soon as they can be had. */
async function open(
  dataset: Dataset,
  request: SubmissionRequest,
  patience: LockPatience,
): Promise<SubmissionEntry> {
  for (let pause = 100;; pause = Math.min(pause * 1.5, 5_000)) {
    const opened = await tryToOpen(dataset, request, patience);
    if ("kind" in opened) return opened;
    if (!request.waitForOutputs) throw await conflictError(dataset, opened);
    await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())));
    throwIfInterrupted();
  }
}

/** Under the lock: writes the journal entry and reserves the outputs, or returns who holds them. */
async function tryToOpen(
  dataset: Dataset,
  request: SubmissionRequest,
  patience: LockPatience,
): Promise<SubmissionEntry | Conflict> {
  const { store, repository, root } = dataset;
  const token = newToken();
  const entry: SubmissionEntry = {
    version: 1,
    kind: "submission",
    token,
    owner: ownIdentity(),
    since: Date.now(),
    branch: repository.branch,
    ...(repository.worktree === undefined ? {} : { worktree: repository.worktree }),
    paths: reservedPaths(request.record.outputs),
    reschedule: request.kind === "reschedule",
    ...(request.message === undefined ? {} : { message: request.message }),
    command: request.command,
    directory: joinPath(request.record.alt_dir ?? root, request.record.pwd),
    record: {
      ...request.record,
      datalad_slurm: {
        version: 1,
        token,
        clone: cloneId(dataset) ?? await locked(dataset, patience, () => makeCloneId(dataset)),
        ...(repository.worktree === undefined ? {} : { worktree: repository.worktree }),
        submitted_at: new Date().toISOString(),
        ...(request.command === request.record.cmd ? {} : { command: request.command }),
      },
    },
  };
  const conflict = await locked(dataset, patience, async () => {
    if (!hasReservations(store.reservations)) await restoreReservations(dataset);
    writeEntry(store.journal, entry);
    const found = reserve(store.reservations, token, entry.paths);
    if (found !== undefined) removeEntry(store.journal, token);
    return found;
  });
  if (conflict !== undefined) return conflict;
  const below = await reserveInSubdatasets(dataset, token, entry.paths, patience);
  if (below !== undefined) {
    await discard(dataset, entry, patience);
    return below;
  }
  return entry;
}

/** Throws the error for the first output that an open job holds. */
export async function refuseConflicts(
  dataset: Dataset,
  outputs: readonly string[],
): Promise<void> {
  for (const path of reservedPaths(outputs)) {
    const conflict = findHolder(dataset.store.reservations, path);
    if (conflict !== undefined) throw await conflictError(dataset, conflict);
  }
}

/** Makes inputs and outputs ready for the job. */
async function prepare(
  dataset: Dataset,
  request: SubmissionRequest,
  prepared: PreparedOutput[],
): Promise<void> {
  const { record, preparation: { assumeReady, transfers, progress } } = request;
  if (assumeReady !== "inputs" && assumeReady !== "both") {
    const inputs = [...record.inputs, ...record.extra_inputs];
    await prepareInputs(dataset, inputs, transfers, progress);
  }
  if (assumeReady !== "outputs" && assumeReady !== "both") {
    await prepareOutputs(dataset, record.outputs, prepared);
  }
  if (record.alt_dir !== undefined) {
    await copyInputs(dataset, record.alt_dir, [
      ...record.inputs,
      ...record.extra_inputs,
      ...request.scripts,
    ]);
    Deno.mkdirSync(joinPath(record.alt_dir, record.pwd), { recursive: true });
  }
}

/** Makes the reservations anew from the open jobs of this clone and the submissions in flight. */
export async function restoreReservations(dataset: Dataset): Promise<void> {
  const { jobs } = await readOpenJobs(dataset);
  const clone = cloneId(dataset);
  const own = jobs.filter(({ record }) => {
    const job = record.datalad_slurm;
    return job === undefined ||
      job.clone === clone && job.worktree === dataset.repository.worktree;
  });
  const inFlight = listEntries(dataset.store.journal).flatMap((token) => {
    const entry = readEntry(dataset.store.journal, token);
    return entry?.kind === "submission" && entry.worktree === dataset.repository.worktree
      ? [{ token, paths: entry.paths }]
      : [];
  });
  rebuildReservations(dataset.store.reservations, [
    ...own.map((job) => ({ token: jobKeyOf(job), paths: reservedPaths(job.record.outputs) })),
    ...inFlight,
  ]);
}

async function conflictError(dataset: Dataset, conflict: Conflict): Promise<ToolError> {
  // Looked at before history: a submission may be recorded meanwhile.
  const isSubmitting = hasEntry(dataset.store.journal, conflict.token);
  const { jobs } = await readOpenJobs(dataset, (await readTip(dataset.repository)).commit);
  const holder = jobs.find((job) => jobKeyOf(job) === conflict.token);
  const who = holder === undefined
    ? conflict.token.startsWith("^")
      ? "an open job of the dataset above"
      : isSubmitting
      ? "a job that is being submitted"
      : "an open job that is not in the history of this branch"
    : `the open job ${holder.jobId} (commit ${holder.commit.slice(0, 10)})`;
  const what = conflict.wanted === conflict.held
    ? `The output ${JSON.stringify(conflict.wanted)}`
    : `The output ${JSON.stringify(conflict.wanted)} overlaps with ${
      JSON.stringify(conflict.held)
    }, which`;
  return new ToolError("refused", `${what} is held by ${who}`, {
    hint: holder === undefined
      ? "Wait for it, or choose another output; `datalad-slurm recover` releases what no job holds"
      : `Finish that job first (datalad-slurm finish ${holder.jobId}), or choose another output`,
  });
}

/** Takes back what {@link open} has done. */
async function discard(
  dataset: Dataset,
  entry: SubmissionEntry,
  patience: LockPatience,
): Promise<void> {
  await releaseInSubdatasets(dataset, entry.token, entry.paths, patience);
  await locked(dataset, patience, () => {
    release(dataset.store.reservations, entry.token, entry.paths);
    removeEntry(dataset.store.journal, entry.token);
    return Promise.resolve();
  });
}

/**
 * Runs the command in a session of its own, whose id is written down before it starts. Its stdout
 * and stderr go to files and not into pipes, so that they outlive us; its stdin is empty.
 */
async function runCommand(entry: SubmissionEntry, files: SubmissionFiles): Promise<RunResult> {
  // Whoever takes the entry up makes the session's file first, and then we must not begin (set -C).
  const script =
    'set -C; echo $$ >"$1" && set +C && umask "$5" && exec /bin/sh -c "$4" >"$2" 2>"$3"';
  const umask = userUmask.toString(8).padStart(4, "0");
  const { session, stdout, stderr } = files;
  return await run(
    ["/bin/sh", "-c", script, "sh", session, stdout, stderr, entry.command, umask],
    {
      cwd: entry.directory,
      detached: true,
      outlivesUs: true,
      env: { PATH: tagSbatch(files.directory) ?? Deno.env.get("PATH") },
    },
  );
}

/** What a submitting command printed. */
export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** Returns what a submitting command has printed so far. */
export function readPrinted(files: SubmissionFiles): Printed {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  };
  return { stdout: read(files.stdout), stderr: read(files.stderr) };
}

/** Says that no job was submitted, for sure. */
class NotSubmitted extends ToolError {}

/** Whether a submission's command has begun, or was about to. */
function hasBegun(files: SubmissionFiles): boolean {
  try {
    Deno.lstatSync(files.session);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Finds out which job a command has submitted; throws when it is none, or not known. */
async function identify(
  entry: SubmissionEntry,
  result: RunResult,
  files: SubmissionFiles,
  printed: Printed,
): Promise<Submission> {
  const named = parseSubmissions(printed.stdout).at(-1);
  if (named !== undefined) return named;
  if (mayHaveSubmitted(result, printed)) {
    const search = await findInQueue(traceOf(entry, files));
    const [found] = search.found;
    if (found !== undefined) return found;
    if (!search.conclusive) throw inDoubt(entry, search.asked, printed);
  }
  throw notSubmitted(entry, result, printed);
}

/**
 * Whether a job may have been accepted although no id was printed: `sbatch -Q` says nothing, and
 * after a time-out or a signal nobody knows. A plain refusal is one.
 */
function mayHaveSubmitted(result: RunResult, { stderr }: Printed): boolean {
  if (saysTestOnly(stderr)) return false;
  return result.code === 0 || result.signal !== null ||
    // "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    /timed out|Zero Bytes were transmitted|Message (receive|send) failure/i.test(stderr);
}

/** Returns by what a submission can be found again. */
export function traceOf(entry: SubmissionEntry, files: SubmissionFiles): SubmissionTrace {
  return {
    token: entry.token,
    sessionId: Number(Deno.readTextFileSync(files.session)),
    host: entry.owner.host,
    since: new Date(entry.since),
  };
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

function notSubmitted(entry: SubmissionEntry, result: RunResult, printed: Printed): ToolError {
  const output = [printed.stdout.trim(), printed.stderr.trim(), result.stderr.trim()]
    .filter((part) => part !== "").join("\n");
  const testOnly = saysTestOnly(printed.stderr);
  return new NotSubmitted(
    result.code === 0 ? "refused" : "external",
    testOnly ? "sbatch --test-only submits nothing" : "The command submitted no job",
    {
      hint: testOnly
        ? "Leave --test-only out to submit the job"
        : /script is empty/i.test(output)
        ? "The command gets no stdin: put the batch script into a file, or use sbatch --wrap"
        : "A job is known by what sbatch prints, such as: Submitted batch job 123",
      details: [
        `Command: ${entry.command}`,
        `Exit code: ${result.code}`,
        output === "" ? "It printed nothing" : output,
      ].join("\n"),
    },
  );
}

function otherSubmissions(stdout: string, recorded: Submission): string[] {
  const others = parseSubmissions(stdout).filter(({ jobId }) => jobId !== recorded.jobId);
  if (others.length === 0) return [];
  return [
    `The command submitted more than one job; recorded is ${recorded.jobId}, the last, ` +
    `but not ${others.map(({ jobId }) => jobId).join(", ")}`,
  ];
}

/**
 * Commits the record of a submission and drops its journal entry. The commit has its parent's
 * tree: no file, no index and no work tree is touched.
 */
export async function recordSubmission(
  dataset: Dataset,
  entry: SubmissionEntry,
  submission: Submission,
  patience: LockPatience,
): Promise<string> {
  const { repository, root, store } = dataset;
  const record = {
    ...entry.record,
    slurm_job_id: submission.jobId,
    datalad_slurm: {
      ...entry.record["datalad_slurm"] as ToolPart,
      ...(submission.cluster === undefined ? {} : { cluster: submission.cluster }),
      ...await describeSubmission(root, submission),
    },
  } as WrittenRecord;
  const message = encodeMessage({
    kind: entry.reschedule ? "reschedule" : "schedule",
    jobId: submission.jobId,
    ...(entry.message === undefined ? {} : { message: entry.message }),
    record,
  });
  const onBranch = { ...dataset, repository: { ...repository, branch: entry.branch } };
  return await locked(onBranch, patience, async ({ lock, readTip, publish }) => {
    lock.phase("refs only");
    // git refuses a parent that is not the branch's tip any more: only then is it looked up.
    let parent = entry.branch === repository.branch ? dataset.head : (await readTip()).commit;
    for (;; parent = (await readTip()).commit) {
      const recorded = await recordedMeanwhile(onBranch, entry);
      if (recorded !== undefined) return recorded;
      const commit = await createCommit(root, {
        tree: `${parent}^{tree}`,
        parents: [parent],
        message,
        sign: dataset.configuration.getBoolean("commit.gpgsign", false),
      });
      const moved = await publish({
        ref: entry.branch,
        newId: commit,
        oldId: parent,
        reason: message.slice(0, message.indexOf("\n")),
      });
      if (!moved) continue;
      removeEntry(store.journal, entry.token);
      return commit;
    }
  });
}

/** Returns the commit by which another process has recorded a submission that it took up. */
async function recordedMeanwhile(
  dataset: Dataset,
  entry: SubmissionEntry,
): Promise<string | undefined> {
  // Of a dead process's submission another one may have made the commit, and died then.
  const isOurs = entry.owner.pid === ownIdentity().pid && entry.owner.host === ownIdentity().host;
  if (isOurs && readEntry(dataset.store.journal, entry.token) !== undefined) return undefined;
  const { jobs } = await readHistory(dataset, entry.branch);
  return jobs.find((job) => job.kind !== "finish" && jobKeyOf(job) === entry.token)?.commit;
}
