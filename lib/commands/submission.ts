import { cloneId, type Dataset, makeCloneId } from "../dataset/dataset.ts";
import { namesTask, placesBefore } from "../dataset/task_paths.ts";
import { joinPath } from "../paths.ts";
import { pause, throwIfInterrupted, uninterrupted } from "../process/interruption.ts";
import type { ToolPart } from "../record/schema.ts";
import { chosenStandIn } from "../slurm/local/choice.ts";
import { IndexSet } from "../slurm/array.ts";
import type { ShownJob } from "../slurm/show_job.ts";
import type { Submission } from "../slurm/submission.ts";
import {
  removeEntry,
  type SubmissionEntry,
  type SubmissionFiles,
  submissionFiles,
  writeEntries,
  writeEntry,
  writePins,
} from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { type Conflict, hasReservations, release, reserve } from "../store/reservations.ts";
import { copyInputs, placeOutputLinks } from "./alt_dir.ts";
import type { Finisher } from "./auto_finish.ts";
import { conflictError, restoreReservations } from "./conflicts.ts";
import { type Identified, identify, NotSubmitted, submissionWarnings } from "./identify_job.ts";
import { endlessly, locked, type LockPatience } from "./locked.ts";
import { type FilePins, NO_PINS, pathsToPin, pinFiles, pinWarnings } from "./pin_files.ts";
import { prepareInputs } from "./prepare_inputs.ts";
import { type PreparedOutput, prepareOutputs, takeBackOutputs } from "./prepare_outputs.ts";
import { type RecordedSubmission, recordSubmissions } from "./record_submission.ts";
import { releaseInSubdatasets, reserveInSubdatasets } from "./reserve_outputs.ts";
import { reservedPaths } from "./reserved_paths.ts";
import type { Preparation, SubmissionRequest } from "./submission_request.ts";
import { toldCommand } from "./submitted_job.ts";
import {
  type CommandRunner,
  hasBegun,
  type Printed,
  readPrinted,
  runCommand,
} from "./submitting_command.ts";
import { takeUpJournal } from "./take_up.ts";
import { newToken } from "./token.ts";

/** A job that was submitted and recorded. */
export interface SubmittedJob extends Submission {
  /** The root of the dataset. */
  readonly root: string;
  /** The commit that records it. */
  readonly commit: string;
  /** What the submitting command printed on stderr. */
  readonly stderr: string;
  /** What became of its finishing job, where it was to have one. */
  readonly finisher?: Finisher | undefined;
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
  const begun = await open(dataset, request, patience);
  let accepted: Accepted;
  try {
    await prepare(dataset, [begun], request.preparation, patience);
    throwIfInterrupted();
    accepted = await runSubmission(dataset, begun);
  } catch (error) {
    if (isSettled(dataset, begun, error)) await discard(dataset, [begun], patience);
    throw error;
  }
  const records = await uninterrupted(() =>
    recordSubmissions(dataset, [accepted], endlessly(patience))
  );
  const job = await submittedJob(dataset, accepted, records.get(begun.entry.token));
  const [finisher] = await finishersOf(dataset, [accepted], [begun], 1);
  return { ...job, finisher };
}

/** Submits the finishing jobs of recorded jobs that are to have one, and returns them in order. */
export async function finishersOf(
  dataset: Dataset,
  accepted: readonly Accepted[],
  begun: readonly BegunSubmission[],
  parallel: number,
): Promise<(Finisher | undefined)[]> {
  const plans = new Map(begun.map(({ entry, request }) => [entry.token, request.autoFinish]));
  const jobs = accepted.flatMap(({ entry: { token }, submission }) => {
    const autoFinish = plans.get(token);
    return autoFinish === undefined ? [] : [{ token, submission, autoFinish }];
  });
  if (jobs.length === 0) return [];
  // Not on the path of those who want none.
  const { submitFinishers } = await import("./auto_finish.ts");
  const finishers = await submitFinishers(dataset, jobs, parallel);
  return accepted.map(({ entry }) => finishers.get(entry.token));
}

/** A submission that has its journal entry and its outputs. */
export interface BegunSubmission {
  readonly request: SubmissionRequest;
  readonly entry: SubmissionEntry;
  /** What was done to its outputs, to be taken back when nothing is submitted. */
  readonly prepared: PreparedOutput[];
}

/** A submission that Slurm has accepted, and what the command printed. */
export interface Accepted extends Identified {
  readonly entry: SubmissionEntry;
  readonly printed: Printed;
  /** What the reader should know besides. */
  readonly warnings: readonly string[];
  readonly pins: FilePins;
}

/** Runs the command of a submission; throws when no job was submitted, or none is known. */
export async function runSubmission(
  dataset: Dataset,
  { entry, request }: BegunSubmission,
  runner: Pick<CommandRunner, "run"> = { run: runCommand },
): Promise<Accepted> {
  const files = submissionFiles(dataset.store.journal, entry.token);
  // Beside the command, so that it costs no time; afterwards the job may change its inputs.
  const [result, { pins, warnings }] = await Promise.all([
    runner.run(entry, files),
    pinBeside(dataset.root, request, files),
  ]);
  const printed = readPrinted(files);
  const identified = await uninterrupted(() => identify(entry, result, files, printed));
  return {
    ...identified,
    entry,
    printed,
    pins,
    warnings: [...warnings, ...submissionWarnings(identified, result)],
  };
}

/**
 * Pins script and inputs, for us and for whoever takes the submission up. That it fails, as when a
 * file vanishes meanwhile, must not come in the way of a job that is being submitted.
 */
async function pinBeside(
  root: string,
  request: SubmissionRequest,
  files: SubmissionFiles,
): Promise<{ pins: FilePins; warnings: string[] }> {
  try {
    const paths = pathsToPin(root, request.record, request.scripts);
    if (paths.length === 0) return { pins: NO_PINS, warnings: [] };
    const pins = await pinFiles(root, paths);
    writePins(files, pins);
    return { pins, warnings: pinWarnings(root, [request], paths, pins) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      pins: NO_PINS,
      warnings: [`The record does not say what script and inputs were: ${reason}`],
    };
  }
}

/**
 * Whether it is for sure that nothing was submitted. Once the command has begun, only its own word
 * ends the matter: otherwise the entry stays, and a later command looks for the job again.
 */
export function isSettled(dataset: Dataset, { entry }: BegunSubmission, error: unknown): boolean {
  return error instanceof NotSubmitted ||
    !hasBegun(submissionFiles(dataset.store.journal, entry.token));
}

/** Returns a recorded job as it is told to the reader. */
export async function submittedJob(
  { root }: Dataset,
  { submission, printed, warnings, entry }: Accepted,
  recorded: RecordedSubmission | undefined,
): Promise<SubmittedJob> {
  return {
    ...submission,
    root,
    commit: recorded?.commit ?? "",
    stderr: printed.stderr,
    warnings: [...warnings, ...await noArrayWarnings(submission, entry, recorded?.job)],
  };
}

/** Returns a warning for each output of an array task that is declared for what is no array. */
async function noArrayWarnings(
  { jobId, cluster }: Submission,
  { record }: SubmissionEntry,
  job: ShownJob | undefined,
): Promise<string[]> {
  if (job === undefined || job.array !== undefined) return [];
  const outputs = (record["outputs"] as string[]).filter(namesTask);
  if (outputs.length === 0) return [];
  const { programFor } = await import("../slurm/local/place.ts");
  return outputs.map((output) =>
    `Job ${jobId} is no array, so there will be no output ${JSON.stringify(output)}: ` +
    `name what it writes at the finish (datalad-slurm finish -o PATH ${jobId}), or cancel it ` +
    `(${programFor(cluster, "scancel")} ${jobId}) and schedule it again with --array`
  );
}

/** Writes the journal entry and reserves the outputs, as soon as they can be had. */
async function open(
  dataset: Dataset,
  request: SubmissionRequest,
  patience: LockPatience,
): Promise<BegunSubmission> {
  let told: string | undefined;
  for (let wait = 100;; wait = Math.min(wait * 1.5, 5_000)) {
    const { begun: [begun], conflict } = await begin(dataset, [request], patience);
    if (begun !== undefined) return begun;
    if (conflict === undefined) throw new TypeError("Neither begun nor refused");
    if (!request.waitForOutputs) throw await conflictError(dataset, conflict);
    // Reads history: once for each holder that is waited for.
    if (told !== conflict.token) {
      const { message } = await conflictError(dataset, conflict);
      patience.say?.(`${message}; waiting until it is free`);
      told = conflict.token;
    }
    await pause(wait);
    throwIfInterrupted();
    // Whoever holds them may have died meanwhile, before it had submitted anything.
    await takeUpJournal(dataset, patience);
  }
}

/** The submissions that were begun, in order, up to the first whose outputs another job holds. */
export interface Beginning {
  readonly begun: readonly BegunSubmission[];
  readonly conflict: Conflict | undefined;
}

/** Under the lock, taken once: writes journal entries and reserves outputs. */
export async function begin(
  dataset: Dataset,
  requests: readonly SubmissionRequest[],
  patience: LockPatience,
): Promise<Beginning> {
  const { store } = dataset;
  const clone = cloneId(dataset) ?? await locked(dataset, patience, () => makeCloneId(dataset));
  // Requests that are begun together go to one place.
  const standIn = await chosenStandIn(dataset.settings.slurm ?? requests[0]?.slurm);
  const all = requests.map((request) => ({
    request,
    entry: newEntry(dataset, request, clone, standIn),
    prepared: [],
  }));
  const beginning = await locked(dataset, patience, async (): Promise<Beginning> => {
    if (!hasReservations(store.reservations)) await restoreReservations(dataset);
    const [only, ...others] = all;
    if (only !== undefined && others.length === 0) writeEntry(store.journal, only.entry);
    else await writeEntries(store.journal, all.map(({ entry }) => entry));
    for (const [index, { entry }] of all.entries()) {
      const conflict = reserve(store.reservations, entry.token, entry.paths);
      if (conflict === undefined) continue;
      for (const { entry: { token } } of all.slice(index)) removeEntry(store.journal, token);
      return { begun: all.slice(0, index), conflict };
    }
    return { begun: all, conflict: undefined };
  });
  for (const [index, { entry }] of beginning.begun.entries()) {
    const conflict = await reserveInSubdatasets(dataset, entry.token, entry.paths, patience);
    if (conflict === undefined) continue;
    await discard(dataset, beginning.begun.slice(index), patience);
    return { begun: beginning.begun.slice(0, index), conflict };
  }
  return beginning;
}

function newEntry(
  { repository, root, settings }: Dataset,
  request: SubmissionRequest,
  clone: string,
  standIn: string | undefined,
): SubmissionEntry {
  const token = newToken();
  const { kind, record, command, message, batch, autoFinish, failedTasks } = request;
  const told = toldCommand(command, root);
  const part: ToolPart = {
    version: 1,
    token,
    clone,
    ...(repository.worktree === undefined ? {} : { worktree: repository.worktree }),
    submitted_at: new Date().toISOString(),
    ...(told === record.cmd ? {} : { command: told }),
    ...(batch === undefined ? {} : { batch }),
    ...(autoFinish === undefined ? {} : {
      auto_finish: autoFinish.failedJobs ?? settings.failedJobs,
    }),
    ...(failedTasks === undefined ? {} : { failed_tasks: failedTasks }),
  };
  return {
    version: 1,
    kind: "submission",
    token,
    owner: ownIdentity(),
    since: Date.now(),
    branch: repository.branch,
    ...(repository.worktree === undefined ? {} : { worktree: repository.worktree }),
    paths: reservedPaths(record.outputs),
    reschedule: kind === "reschedule",
    ...(message === undefined ? {} : { message }),
    command,
    directory: joinPath(record.alt_dir ?? root, record.pwd),
    ...(standIn === undefined ? {} : { cluster: standIn }),
    record: { ...record, datalad_slurm: part },
  };
}

/** Makes inputs and outputs ready for the jobs: the inputs of all of them in one go. */
export async function prepare(
  dataset: Dataset,
  submissions: readonly BegunSubmission[],
  { assumeReady, transfers = dataset.settings.transfers }: Preparation,
  patience: LockPatience,
): Promise<void> {
  if (assumeReady !== "inputs" && assumeReady !== "both") {
    const inputs = submissions.flatMap((
      { request: { record } },
    ) => [...record.inputs, ...record.extra_inputs]);
    await prepareInputs(dataset, [...new Set(inputs)], transfers, patience);
  }
  for (const { request: { record, scripts, tasks }, prepared } of submissions) {
    if (assumeReady !== "outputs" && assumeReady !== "both") {
      const known = tasks === undefined ? undefined : IndexSet.of(tasks);
      await prepareOutputs(dataset, placesBefore(record.outputs, known), prepared);
    }
    if (record.alt_dir !== undefined) {
      await copyInputs(dataset, record.alt_dir, [
        ...record.inputs,
        ...record.extra_inputs,
        ...scripts,
      ]);
      await placeOutputLinks(dataset, record.alt_dir, record.outputs);
      Deno.mkdirSync(joinPath(record.alt_dir, record.pwd), { recursive: true });
    }
  }
}

/** Takes back what {@link begin} and {@link prepare} have done for jobs that are not submitted. */
export async function discard(
  dataset: Dataset,
  submissions: readonly BegunSubmission[],
  patience: LockPatience,
): Promise<void> {
  if (submissions.length === 0) return;
  await uninterrupted(async () => {
    for (const { entry, prepared } of submissions) {
      await takeBackOutputs(prepared);
      await releaseInSubdatasets(dataset, entry.token, entry.paths, endlessly(patience));
    }
    await locked(dataset, endlessly(patience), () => {
      for (const { entry } of submissions) {
        release(dataset.store.reservations, entry.token, entry.paths);
        removeEntry(dataset.store.journal, entry.token);
      }
      return Promise.resolve();
    });
  });
}
