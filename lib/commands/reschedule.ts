import { type Dataset, refuseAdjustedBranch } from "../dataset/dataset.ts";
import { isSubmission, jobKeyOf, readHistory, type RecordedJob } from "../dataset/history.ts";
import { datasetPath, outputPaths } from "../dataset/paths.ts";
import { ToolError } from "../errors.ts";
import { readConfiguration } from "../git/config.ts";
import { requireIdentity } from "../git/identity.ts";
import { recordedCommits } from "../git/log.ts";
import { resolveCommit } from "../git/refs.ts";
import { superdatasetOf } from "../git/repository.ts";
import { throwIfInterrupted } from "../process/interruption.ts";
import { joinCommand, quoteWord } from "../record/command.ts";
import type { LockPatience } from "./locked.ts";
import { installNeeded } from "./prepare_inputs.ts";
import { IndexSet, parseArraySpec } from "../slurm/array.ts";
import { chosenSlurm, isStandInHere } from "../slurm/local/choice.ts";
import { readSbatchCall } from "../slurm/sbatch_call.ts";
import { isStandIn } from "../slurm/stand_in.ts";
import { union } from "./array_parts.ts";
import { openTakingUp } from "./take_up.ts";
import { resolveAltDir } from "./alt_dir.ts";
import type { AutoFinish } from "./auto_finish.ts";
import { checkedOut, type Place } from "./checked_out.ts";
import {
  type Choice,
  type Choices,
  declaredOutputs,
  type PassedOver,
  passOver,
  passOverlapping,
  tasksOf,
  unfinished,
  withoutReplacement,
} from "./passed_over.ts";
import { checkAutoFinish, expandCommand, namedFiles, requireScript } from "./schedule.ts";
import { finishesIn, type FinishOf, requireCommit } from "./select_jobs.ts";
import { refuseConflicts } from "./conflicts.ts";
import { submit, type SubmittedJob } from "./submission.ts";
import { explainUnknown } from "./unknown_job.ts";
import type { Preparation, RecordTemplate, SubmissionRequest } from "./submission_request.ts";

/** What `reschedule` is asked to do. */
export interface RescheduleOptions {
  readonly dataset?: string | undefined;
  /** A schedule, reschedule or finish commit, or a job's id; with `since` none is needed. */
  readonly commit?: string | undefined;
  /** All finished jobs that were submitted after this commit, oldest first. */
  readonly since?: string | undefined;
  readonly message?: string | undefined;
  readonly preparation: Preparation;
  /** How the jobs are finished by jobs of their own, where that is asked for. */
  readonly autoFinish?: AutoFinish | undefined;
  /** A directory outside the dataset to run in; the recorded one is somebody else's choice. */
  readonly altDir?: string | undefined;
  /** With `since`: also jobs that failed. */
  readonly withFailedJobs: boolean;
  /** Of arrays only the tasks that did not complete; with `since` only arrays that have some. */
  readonly failedTasks: boolean;
  /** A commit to check out first. */
  readonly onto?: string | undefined;
  /** A branch to make and check out first. */
  readonly branch?: string | undefined;
}

/** A recorded job that is to be submitted once more. */
export interface PlannedReschedule {
  readonly job: RecordedJob;
  readonly request: SubmissionRequest;
  /** The stand-in for Slurm that it ran on, where it goes to Slurm this time. */
  readonly leaves?: string | undefined;
}

/** What would be submitted. */
export interface ReschedulePlan {
  readonly dataset: Dataset;
  readonly planned: readonly PlannedReschedule[];
  readonly passedOver: readonly PassedOver[];
}

/** A job that was submitted once more. */
export interface RescheduledJob extends PlannedReschedule {
  readonly submitted: SubmittedJob;
}

/** Who is told of each job that is submitted once more. */
export interface RescheduleWatcher {
  /** A record is data from somebody else, so the command is shown before it runs. */
  readonly before: (planned: PlannedReschedule) => void;
  readonly after: (rescheduled: RescheduledJob) => void;
}

/**
 * Submits recorded jobs once more, one after the other, and returns what was planned. The watcher is
 * told of each at once: one that fails must not hide those before it.
 */
export async function reschedule(
  options: RescheduleOptions,
  patience: LockPatience,
  watcher: RescheduleWatcher,
): Promise<ReschedulePlan> {
  const { dataset, choices, place } = await choose(options, patience);
  const planAndSubmit = async (from: Dataset) =>
    await submitPlanned(await planChosen(from, choices, options), options, patience, watcher);
  return place === undefined || choices.chosen.length === 0
    ? await planAndSubmit(dataset)
    : await checkedOut(dataset, place, patience, planAndSubmit);
}

async function submitPlanned(
  whole: ReschedulePlan,
  options: RescheduleOptions,
  patience: LockPatience,
  { before, after }: RescheduleWatcher,
): Promise<ReschedulePlan> {
  let { dataset } = whole;
  const refused: PassedOver[] = [];
  for (const planned of whole.planned) {
    throwIfInterrupted();
    try {
      const plan = await installNeeded(dataset, planned.request)
        ? await planJob(dataset, { job: planned.job, failed: planned.request.failedTasks }, options)
        : planned;
      before(plan);
      Deno.mkdirSync(`${dataset.root}/${plan.request.record.pwd}`, { recursive: true });
      const submitted = await submit(dataset, plan.request, patience);
      // The next record goes on top of this one.
      dataset = { ...dataset, head: submitted.commit };
      after({ ...plan, submitted });
    } catch (error) {
      refused.push(refusedJob(planned.job, error, options));
    }
  }
  const passedOver = [...withoutReplacement(whole.passedOver, refused), ...refused];
  return { ...whole, passedOver };
}

/**
 * Returns what would be submitted, and changes nothing. Throws a {@link ToolError} if the job that
 * is named may not be.
 */
export async function planReschedule(
  options: RescheduleOptions,
  patience: LockPatience,
): Promise<ReschedulePlan> {
  const { dataset, choices } = await choose(options, patience);
  return await planChosen(dataset, choices, options);
}

/**
 * Finds the jobs, and the place to submit them from where it is another one: commits that are named
 * may be named relative to HEAD, and what history alone refuses needs nothing checked out.
 */
async function choose(
  options: RescheduleOptions,
  patience: LockPatience,
): Promise<{ dataset: Dataset; choices: Choices; place: Place | undefined }> {
  const { onto, branch } = options;
  const dataset = await openTakingUp(options.dataset, patience);
  await requireIdentity(dataset.root, dataset.configuration);
  const choices = await findJobs(dataset, options);
  const commit = onto === undefined ? dataset.head : await requireCommit(dataset, onto);
  const isHere = onto === undefined && branch === undefined;
  return { dataset, choices, place: isHere ? undefined : { commit, branch } };
}

async function planChosen(
  dataset: Dataset,
  { chosen, passedOver }: Choices,
  options: RescheduleOptions,
): Promise<ReschedulePlan> {
  refuseAdjustedBranch(dataset);
  const planned: PlannedReschedule[] = [];
  const refused: PassedOver[] = [];
  for (const choice of chosen) {
    try {
      planned.push(await planJob(dataset, choice, options));
    } catch (error) {
      refused.push(refusedJob(choice.job, error, options));
    }
  }
  return {
    dataset,
    planned,
    passedOver: [...withoutReplacement(passedOver, refused), ...refused],
  };
}

/**
 * Returns a job that may not be submitted as one that is passed over: one of many does not keep the
 * others back. Throws the error again where the job was named, or something else is wrong.
 */
function refusedJob(job: RecordedJob, error: unknown, { since }: RescheduleOptions): PassedOver {
  if (since === undefined || !(error instanceof ToolError && error.kind === "refused")) throw error;
  const { message, hint, details } = error;
  return { job, why: "refused", reason: `Job ${job.jobId}: ${message}`, hint, details };
}

async function findJobs(
  dataset: Dataset,
  { commit, since, withFailedJobs, failedTasks }: RescheduleOptions,
): Promise<Choices> {
  const history = await readHistory(dataset);
  const finishOf = finishesIn(history.jobs);
  if (commit !== undefined) {
    const id = submissionNamed(history.jobs, commit) ?? await requireCommitOf(dataset, commit);
    const damaged = history.unreadable.find((record) => record.commit === id);
    if (damaged !== undefined) throw new ToolError("refused", damaged.reason);
    const job = submissionOf(history.jobs, finishOf, id);
    const failed = failedTasks ? requireFailedTasks(finishOf, job) : undefined;
    return { chosen: [{ job, failed }], passedOver: [] };
  }
  if (since === undefined) {
    throw new ToolError("usage", "No commit is named", {
      hint: "Such as: reschedule HEAD; see the jobs with: datalad-slurm log",
    });
  }
  const base = await requireCommit(dataset, since);
  const commits = await recordedCommits(dataset.root, dataset.head, base);
  const later = new Set(commits.map((logged) => logged.commit));
  const jobs = history.jobs.filter((job) => isSubmission(job) && later.has(job.commit));
  const passedOver = passOver(history.jobs, finishOf, jobs, failedTasks);
  const left = new Set(passedOver.map(({ job }) => job));
  const wanted = jobs.filter((job) => !left.has(job)).map((job): Choice => ({
    job,
    failed: failedTasks ? failedTasksOf(finishOf, job) : undefined,
  })).filter(({ job, failed }) =>
    failedTasks
      ? failed !== undefined && failed !== ""
      : withFailedJobs || isComplete(finishOf(job))
  );
  const { chosen, passedOver: overlapping } = passOverlapping(wanted);
  return { chosen, passedOver: [...passedOver, ...overlapping] };
}

/** Returns the commit that submitted the job of an id, last where Slurm has used that again. */
function submissionNamed(history: readonly RecordedJob[], jobId: string): string | undefined {
  return history.findLast((job) => isSubmission(job) && job.jobId === jobId)?.commit;
}

/** Returns the full id of a commit; throws for what is neither a commit nor the id of a job. */
async function requireCommitOf(dataset: Dataset, target: string): Promise<string> {
  const commit = await resolveCommit(dataset.repository, target);
  if (commit !== undefined) return commit;
  const { reason, hint } = await explainUnknown(dataset, target);
  throw new ToolError("refused", reason, { hint });
}

/** The extension wrote `Completed`. */
function isComplete(finished: RecordedJob | undefined): boolean {
  return finished?.state === "Complete" || finished?.state === "Completed";
}

/** Returns the submission that a commit is, or that it is the finish of. */
function submissionOf(
  history: readonly RecordedJob[],
  finishOf: FinishOf,
  commit: string,
): RecordedJob {
  const named = history.find((job) => job.commit === commit);
  if (named === undefined) {
    throw new ToolError("refused", `Commit ${commit.slice(0, 10)} records no job of this history`, {
      hint: "Name a [DATALAD SCHEDULE], [DATALAD RESCHEDULE] or [DATALAD FINISH] commit",
    });
  }
  if (isSubmission(named)) {
    requireFinished(finishOf, named);
    return named;
  }
  const submission = history.find((job) =>
    isSubmission(job) &&
    (named.kind === "part" ? jobKeyOf(job) === jobKeyOf(named) : finishOf(job)?.commit === commit)
  );
  if (submission !== undefined) requireFinished(finishOf, submission);
  return submission ?? named;
}

function requireFinished(finishOf: FinishOf, job: RecordedJob): void {
  if (finishOf(job) === undefined) throw unfinished(job);
}

/** Returns the tasks of an array that did not complete, or throws why there are none. */
function requireFailedTasks(finishOf: FinishOf, job: RecordedJob): string {
  const failed = failedTasksOf(finishOf, job);
  if (failed === undefined) {
    throw new ToolError("refused", `Of job ${job.jobId} no states of array tasks are recorded`, {
      hint: "Leave out --failed-tasks to submit the whole job once more",
    });
  }
  if (failed === "") {
    throw new ToolError("refused", `All tasks of job ${job.jobId} are complete: none has failed`, {
      hint: "Leave out --failed-tasks to submit all of them once more",
    });
  }
  return failed;
}

/** Returns the tasks of an array that did not complete; undefined where that is not recorded. */
function failedTasksOf(finishOf: FinishOf, job: RecordedJob): string | undefined {
  const states = finishOf(job)?.record.datalad_slurm?.task_states;
  if (states === undefined) return undefined;
  return `${union(states).without(IndexSet.of(states["COMPLETED"]))}`;
}

/** Returns a recorded command so that it submits some tasks only; the throttle stays. */
function withTasks({ jobId, record }: RecordedJob, tasks: string): string {
  const command = commandOf(record);
  const read = readSbatchCall(command);
  if ("obstacle" in read) {
    throw new ToolError("refused", `Tasks of job ${jobId} cannot be chosen: ${read.obstacle}`, {
      hint: "Its command must be one plain call of sbatch; reschedule the whole job instead, or " +
        `schedule these tasks yourself: --array=${tasks}`,
      details: `Command: ${command}`,
    });
  }
  const given = read.call.array ?? record.datalad_slurm?.job?.array;
  const throttle = parseArraySpec(given ?? "")?.throttle;
  return read.call.withArray(throttle === undefined ? tasks : `${tasks}%${throttle}`);
}

/** The commits of a job in subdatasets bear its record too: paths and command are of the dataset above. */
async function refuseFromAbove(dataset: Dataset, job: RecordedJob): Promise<void> {
  const { dsid } = job.record;
  if (dsid === undefined || dsid === dataset.id) return;
  for (
    let above = await superdatasetOf(dataset.root);
    above !== undefined;
    above = await superdatasetOf(above)
  ) {
    if ((await readConfiguration(above)).get("datalad.dataset.id") !== dsid) continue;
    const id = job.commit.slice(0, 10);
    throw new ToolError(
      "refused",
      `Job ${job.jobId} (${id}) was submitted in the dataset above, ${JSON.stringify(above)}`,
      { hint: `Run it there: datalad-slurm reschedule -d ${quoteWord(above)} ${job.jobId}` },
    );
  }
}

async function planJob(
  dataset: Dataset,
  choice: Choice,
  { message, preparation, altDir, autoFinish }: RescheduleOptions,
): Promise<PlannedReschedule> {
  await checkAutoFinish(dataset, autoFinish);
  const { job, failed } = choice;
  const { record } = job;
  await refuseFromAbove(dataset, job);
  const toPaths = (paths: readonly string[], role: string) =>
    paths.map((path) => datasetPath(dataset.root, ".", path, role));
  const pwd = datasetPath(dataset.root, ".", record.pwd, "The recorded directory");
  const template: RecordTemplate = {
    chain: [...record.chain, job.commit],
    cmd: failed === undefined ? record.cmd : withTasks(job, failed),
    ...(record.dsid === undefined ? {} : { dsid: record.dsid }),
    extra_inputs: toPaths(record.extra_inputs, "The recorded input"),
    inputs: toPaths(record.inputs, "The recorded input"),
    outputs: declaredOutputs(record).flatMap((path, _, all) => {
      const paths = outputPaths(dataset.root, ".", path, "The recorded output");
      // The directory behind a link is recorded beside it.
      return paths.filter((one) => one === path || !all.includes(one));
    }),
    pwd,
    ...(altDir === undefined ? {} : { alt_dir: resolveAltDir(dataset.root, altDir) }),
  };
  await refuseConflicts(dataset, template.outputs);
  const { slurm, leaves } = await placeFor(dataset, record.datalad_slurm?.cluster);
  const command = expandCommand(dataset, template);
  requireScript(dataset, template, command, whereScriptIs(job));
  const request: SubmissionRequest = {
    kind: "reschedule",
    slurm,
    record: template,
    command,
    message: message ?? job.message,
    preparation,
    waitForOutputs: false,
    autoFinish,
    tasks: tasksOf(choice)?.toString(),
    failedTasks: failed,
    scripts: namedFiles(dataset.root, pwd, commandOf(record).split(/\s+/)),
  };
  return { job, request, leaves };
}

/** Says where the batch script of a recorded job is to be had from. */
function whereScriptIs({ jobId, commit, record: { datalad_slurm: part } }: RecordedJob): string {
  const script = part?.script;
  const ran = `Job ${jobId} ran it where it was submitted`;
  if (script === undefined) {
    return `${ran}; see what its commit has with: git show ${short(commit)}:`;
  }
  if (script.differs === "new" || script.differs === "outside") {
    return `${ran}; it was in no commit then: bring it from there, and commit it`;
  }
  const other = script.differs === undefined ? "" : ", in another version than ran";
  return `${ran}, and it has been removed or renamed since; the job's commit has it${other}: ` +
    `git checkout ${short(commit)} -- ${quoteWord(script.path)}`;
}

function short(commit: string): string {
  return commit.slice(0, 10);
}

/**
 * Returns where a job goes once more that ran on a stand-in for Slurm: there again on the same
 * machine, unless something else is chosen.
 */
async function placeFor(
  { settings }: Dataset,
  cluster: string | undefined,
): Promise<Pick<SubmissionRequest, "slurm"> & Pick<PlannedReschedule, "leaves">> {
  if (cluster === undefined || !isStandIn(cluster)) return {};
  const chosen = chosenSlurm(settings.slurm);
  if (chosen === undefined && await isStandInHere(cluster)) return { slurm: "local" };
  return chosen === "local" ? {} : { leaves: cluster };
}

/**
 * Returns a shell script that submits the jobs once more without recording anything, for the eyes
 * or for use elsewhere. It runs from the dataset's root.
 */
export function rescheduleScript(planned: readonly PlannedReschedule[]): string {
  return [
    "#!/bin/sh",
    "# Submits the recorded jobs again; run it in the root of the dataset.",
    "set -e",
    ...planned.flatMap(({ job, request }) => [
      "",
      `# Job ${job.jobId}, commit ${job.commit}`,
      `(cd ${quoteWord(request.record.pwd)} && ${request.command})`,
    ]),
    "",
  ].join("\n");
}

/** Returns a recorded command as one line. */
export function commandOf({ cmd }: { readonly cmd: string | readonly string[] }): string {
  return typeof cmd === "string" ? cmd : joinCommand(cmd);
}
