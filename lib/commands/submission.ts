import { cloneId, type Dataset, makeCloneId } from "../dataset/dataset.ts";
import { joinPath } from "../paths.ts";
import { throwIfInterrupted, uninterrupted } from "../process/interruption.ts";
import type { BeginProgress } from "../process/progress.ts";
import type { Submission } from "../slurm/submission.ts";
import {
  removeEntry,
  type SubmissionEntry,
  submissionFiles,
  writeEntry,
} from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { type Conflict, hasReservations, release, reserve } from "../store/reservations.ts";
import { copyInputs } from "./alt_dir.ts";
import { conflictError, restoreReservations } from "./conflicts.ts";
import { endlessly, locked, type LockPatience } from "./locked.ts";
import { prepareInputs } from "./prepare_inputs.ts";
import { type PreparedOutput, prepareOutputs, takeBackOutputs } from "./prepare_outputs.ts";
import { recordSubmission } from "./record_submission.ts";
import { releaseInSubdatasets, reserveInSubdatasets } from "./reserve_outputs.ts";
import { reservedPaths } from "./reserved_paths.ts";
import type { SubmissionRequest } from "./submission_request.ts";
import {
  hasBegun,
  identify,
  NotSubmitted,
  otherSubmissions,
  type Printed,
  readPrinted,
  runCommand,
} from "./submitting_command.ts";
import { newToken } from "./token.ts";

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
    await prepare(dataset, request, prepared, patience.begin);
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

/** Makes inputs and outputs ready for the job. */
async function prepare(
  dataset: Dataset,
  request: SubmissionRequest,
  prepared: PreparedOutput[],
  begin: BeginProgress | undefined,
): Promise<void> {
  const { record, preparation: { assumeReady, transfers } } = request;
  if (assumeReady !== "inputs" && assumeReady !== "both") {
    const inputs = [...record.inputs, ...record.extra_inputs];
    await prepareInputs(dataset, inputs, transfers, begin);
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
