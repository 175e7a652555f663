import { type Dataset, openDataset } from "../dataset/dataset.ts";
import {
  type FinishedTasks,
  jobKeyOf,
  readHistory,
  readOpenJobs,
  type RecordedJob,
} from "../dataset/history.ts";
import type { StagedChange } from "../git/changes.ts";
import { objectsInHead } from "../git/pins.ts";
import { isRepository } from "../files.ts";
import { isWithin, joinPath, pathAndAbove } from "../paths.ts";
import { throwIfInterrupted } from "../process/interruption.ts";
import { encodeMessage } from "../record/message.ts";
import type { WrittenRecord } from "../record/schema.ts";
import { IndexSet } from "../slurm/array.ts";
import type { JobReport } from "../slurm/report.ts";
import { release } from "../store/reservations.ts";
import {
  allTasks,
  hasFiles,
  type PlannedPart,
  reportOfPart,
  settlePart,
  statesOf,
  union,
} from "./array_parts.ts";
import { type Claim, claimJobs } from "./claim_jobs.ts";
import {
  abandonFiles,
  commitFiles,
  type CommitLayout,
  type FilesInRepository,
  leaveFilesOut,
  takeFilesIn,
} from "./commit_files.ts";
import {
  deletedPaths,
  type FinishingJob,
  type FinishNotes,
  type GatheredResults,
  gatherResults,
} from "./gather_results.ts";
import { type JobFiles, jobFiles, nameOfJob, type WantedTasks } from "./job_files.ts";
import type { LockPatience } from "./locked.ts";
import { SeenFiles } from "./log_names.ts";
import { releaseInSubdatasets } from "./reserve_outputs.ts";
import { reservedPaths } from "./reserved_paths.ts";

/** A job that is over, or an array of which some tasks are. */
export interface PlannedFinish extends Omit<FinishingJob, "part"> {
  readonly part?: PlannedPart | undefined;
}

/** What {@link commitResults} is given. */
export interface ResultsToCommit {
  readonly jobs: readonly PlannedFinish[];
  /** Jobs that stay open: their files are nobody else's, wherever they are. */
  readonly otherOpenJobs: readonly RecordedJob[];
  readonly message: string | undefined;
  readonly layout: CommitLayout;
}

/** The branch of a job that is finished on one of its own. */
export function jobBranch(job: RecordedJob): string {
  return `refs/heads/job-${nameOfJob(job)}`;
}

/** A job that was committed. */
export interface CommittedResults {
  readonly commit: string;
  readonly notes: FinishNotes;
  /** On the tasks that the commit finishes; its record of the last of them is on the whole array. */
  readonly report: JobReport;
  /** The tasks of an array that the commit finishes, in Slurm's notation, where others did the rest. */
  readonly tasks?: string;
  /** Those of the tasks that were closed without their outputs, where not all were. */
  readonly closedTasks?: string;
  /** Whether outputs of the job, or of the tasks, were committed. */
  readonly withFiles: boolean;
  /** Whether nothing of the job is open any more. */
  readonly isLast: boolean;
}

/** What became of jobs, by job key; those that others have finished meanwhile are in neither map. */
export interface CommitOutcome {
  readonly committed: ReadonlyMap<string, CommittedResults>;
  /** Jobs with files that could not be added: they are left open, with nothing committed. */
  readonly notAdded: ReadonlyMap<string, FinishNotes>;
}

/** A job with all that its commits need. */
interface Piece extends GatheredResults {
  readonly deleted: ReadonlyMap<string, readonly string[]>;
  readonly notes: FinishNotes;
  readonly commitMessage: string;
}

/**
 * Makes the finish commits of jobs, each with exactly its job's files. A job of which a file cannot
 * be added has none. Outputs in subdatasets are committed there first; the commits above record the
 * subdatasets' new commits.
 */
export async function commitResults(
  dataset: Dataset,
  results: ResultsToCommit,
  patience: LockPatience,
): Promise<CommitOutcome> {
  const wanted = results.jobs.map(({ job, part }) => ({ job, tasks: part && union(part.states) }));
  const claim = await claimJobs(dataset, wanted, patience);
  const jobs = results.jobs.flatMap((planned) => settle(planned, claim) ?? []);
  const taken: FilesInRepository[] = [];
  let isSomethingLeft = false;
  try {
    return jobs.length === 0
      ? { committed: new Map(), notAdded: new Map() }
      : await commitClaimed(dataset, results, jobs, { claim, taken }, patience);
  } catch (error) {
    for (const files of taken) {
      if (!await abandonFiles(files)) isSomethingLeft = true;
    }
    throw error;
  } finally {
    claim.giveBack(isSomethingLeft);
  }
}

/** Returns what is left to finish of a job that is claimed; undefined when others have done it. */
function settle({ part: planned, ...finishing }: PlannedFinish, claim: Claim):
  | FinishingJob
  | undefined {
  const claimed = claim.jobs.get(jobKeyOf(finishing.job));
  if (claimed === undefined) return undefined;
  const { ran } = finishing.job;
  const job = ran === undefined ? claimed : { ...claimed, ran };
  const { report, withFiles } = finishing;
  const all = allTasks(job, report);
  // Others may have finished tasks of it since it was to be finished as a whole.
  const wanted = planned ?? (job.finished === undefined ? undefined : {
    states: statesOf(report),
    closed: withFiles ? new IndexSet() : union(statesOf(report)),
    all,
  });
  if (wanted === undefined) return { ...finishing, job };
  const part = settlePart(job, wanted);
  if (part === undefined) return undefined;
  if (
    part.isLast && job.finished === undefined && [0, part.tasks.size].includes(part.closed.size)
  ) {
    return { ...finishing, job };
  }
  return {
    ...finishing,
    job,
    report: reportOfPart(job, report, part),
    accounting: part.isLast ? finishing.accounting : undefined,
    withFiles: hasFiles(job, part),
    part,
  };
}

/** The jobs that are ours, and what was taken in of their files. */
interface Claimed {
  readonly claim: Claim;
  /** Also where the work fails before all is taken in. */
  readonly taken: FilesInRepository[];
}

async function commitClaimed(
  dataset: Dataset,
  results: ResultsToCommit,
  finishing: readonly FinishingJob[],
  claimed: Claimed,
  patience: LockPatience,
): Promise<CommitOutcome> {
  const seen = new SeenFiles();
  const isForeignTo = foreignFiles(dataset, results, finishing, seen);
  let gathered: GatheredResults[] = [];
  const progress = patience.begin?.("Gathering results");
  for (const job of finishing) {
    gathered.push(await gatherResults(dataset, job, isForeignTo(job), seen));
    progress?.(gathered.length, finishing.length);
  }
  const notAdded = new Map<string, FinishNotes>();
  const leave = (failing: readonly Pick<Piece, "key" | "notes">[]) => {
    for (const { key, notes } of failing) notAdded.set(key, notes);
    gathered = gathered.filter(({ key }) => !notAdded.has(key));
  };
  leave(
    gathered.filter(({ failed }) => failed.length > 0)
      .map((job) => complete(job, new Map(), new Map(), results.message)),
  );
  if (gathered.length === 0) return { committed: new Map(), notAdded };
  const deleted = await deletedPaths(dataset, gathered);
  let repositories: Map<string, FilesInRepository>;
  let pieces: Piece[];
  for (;;) {
    repositories = await takeAllIn(dataset, gathered, results.layout, claimed, patience);
    pieces = gathered.map((job) =>
      complete(job, deleted.get(job.key) ?? new Map(), repositories, results.message)
    );
    const failing = pieces.filter(({ notes }) => notes.failed.length > 0);
    if (failing.length === 0) break;
    // Their other files must not come into the index with those of the jobs that are committed.
    for (const taken of repositories.values()) await leaveFilesOut(taken);
    claimed.taken.length = 0;
    leave(failing);
    if (gathered.length === 0) return { committed: new Map(), notAdded };
  }
  const byKey = new Map(pieces.map((piece) => [piece.key, piece]));
  // What is reserved stays so until the last part.
  const reserved = (key: string) => {
    const piece = byKey.get(key);
    return piece?.part?.isLast === false ? [] : reservedPaths(piece?.job.record.outputs ?? []);
  };
  const commits = new Map<string, Map<string, string>>();
  // The deepest first: the dataset above records what was committed below.
  const paths = [...repositories.keys()].sort((a, b) => depth(b) - depth(a));
  for (const path of paths) {
    const repository = repositories.get(path);
    if (repository === undefined) continue;
    throwIfInterrupted();
    const jobs = pieces.map((piece) => ({
      key: piece.key,
      files: piece.files.get(path) ?? [],
      deleted: piece.deleted.get(path) ?? [],
      subdatasets: changedSubdatasets(path, piece.key, commits),
      message: piece.commitMessage,
      branch: jobBranch(piece.job),
      scheduledIn: piece.job.commit,
    }));
    const isTop = path === ".";
    const made = await commitFiles(repository, jobs, {
      evenWithoutChanges: isTop,
      stillWanted: async (all, tip) => {
        if (!isTop || tip === dataset.head) return all;
        const open = (await readOpenJobs(dataset, tip)).jobs;
        const now = new Map(open.map((job) => [jobKeyOf(job), job]));
        return all.filter(({ key }) =>
          now.has(key) && isSame(now.get(key)?.finished, byKey.get(key)?.job.finished)
        );
      },
      afterwards: (keys) => {
        if (!isTop) return;
        for (const key of keys) release(dataset.store.reservations, key, reserved(key));
      },
    }, patience);
    commits.set(
      path,
      isTop ? made : await withEarlierCommits(dataset.root, path, repository.dataset, jobs, made),
    );
  }
  const top = commits.get(".") ?? new Map<string, string>();
  for (const key of top.keys()) await releaseInSubdatasets(dataset, key, reserved(key), patience);
  const committed = new Map(
    pieces.flatMap((piece) => {
      const commit = top.get(piece.key);
      if (commit === undefined) return [];
      return [[piece.key, { commit, notes: piece.notes, ...finishedBy(piece) }] as const];
    }),
  );
  return { committed, notAdded };
}

/** Returns what a commit finishes: a job, or of an array that is finished in parts its own tasks. */
function finishedBy(
  { job, report, part, withFiles }: Piece,
): Omit<CommittedResults, "commit" | "notes"> {
  if (part === undefined || part.tasks.size === 0) return { report, withFiles, isLast: true };
  const { tasks, closed, isLast } = part;
  const isWhole = isLast && job.finished === undefined;
  const isSomeClosed = closed.size > 0 && closed.size < tasks.size;
  return {
    report: reportOfPart(job, report, { ...part, isLast: false }),
    ...(isWhole ? {} : { tasks: `${tasks}` }),
    ...(isSomeClosed ? { closedTasks: `${closed}` } : {}),
    withFiles: closed.size < tasks.size,
    isLast,
  };
}

/**
 * Returns for each job a function that tells what is not its own, wherever it lies: logs of jobs and
 * tasks that stay open, and what these have reserved; logs of the jobs that are finished or closed
 * with it, but for one that it writes to as well.
 */
function foreignFiles(
  { root }: Dataset,
  { otherOpenJobs }: ResultsToCommit,
  finishing: readonly FinishingJob[],
  seen: SeenFiles,
): (job: FinishingJob) => (path: string) => boolean {
  const filesOf = (job: RecordedJob, wanted?: WantedTasks) => jobFiles(root, job, wanted, seen);
  const all = ({ logs, environment }: JobFiles) => [...logs, environment];
  const open = new Set(otherOpenJobs.flatMap((job) => all(filesOf(job))));
  const here = new Set<string>();
  const own = new Map<FinishingJob, Set<string>>();
  for (const finished of finishing) {
    const { job, part } = finished;
    const whole = all(filesOf(job));
    const isWhole = part === undefined || part.isLast;
    const wanted = isWhole ? undefined : { tasks: part.tasks, withShared: false };
    own.set(finished, new Set(wanted === undefined ? whole : filesOf(job, wanted).logs));
    for (const path of whole) here.add(path);
  }
  return (finished) => (path) =>
    open.has(path) || here.has(path) && own.get(finished)?.has(path) !== true ||
    finished.heldByOthers.some((held) => isWithin(path, held));
}

function isSame(one: FinishedTasks | undefined, other: FinishedTasks | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Takes in the files of all jobs, repository by repository. */
async function takeAllIn(
  dataset: Dataset,
  gathered: readonly GatheredResults[],
  layout: CommitLayout,
  { claim, taken }: Claimed,
  patience: LockPatience,
): Promise<Map<string, FilesInRepository>> {
  const repositories = new Map<string, FilesInRepository>();
  const paths = new Set([".", ...gathered.flatMap(({ files }) => [...files.keys()])]);
  // A subdataset's subdataset needs the one between as well.
  for (const path of [...paths]) {
    for (const between of repositoriesBetween(dataset.root, path)) paths.add(between);
  }
  if (paths.size > 1) claim.cover([...paths].filter((path) => path !== "."));
  const names = gathered.map(({ key, part }) => ({
    key,
    ...(part?.isLast === false ? { tasks: `${part.tasks}` } : {}),
  }));
  for (const path of paths) {
    const wanted = new Set(gathered.flatMap((job) => job.files.get(path) ?? []));
    const isTop = path === ".";
    const holder = isTop ? dataset : await openDataset(`${dataset.root}/${path}`);
    // Below, the jobs' commits lie one after the other in any case.
    const laidOut = isTop ? layout : "linear";
    const files = await takeFilesIn(holder, names, [...wanted], laidOut, patience);
    taken.push(files);
    repositories.set(path, files);
  }
  return repositories;
}

/** Returns the repositories above a subdataset, but for the top one. */
function repositoriesBetween(root: string, path: string): string[] {
  const parts = path.split("/");
  return parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join("/"))
    .filter((above) => isRepository(`${root}/${above}`));
}

/**
 * Returns the commits of jobs in a subdataset, with those that an earlier finish has made there
 * before it was cut short: the dataset above does not have them yet. The first job that has one
 * brings all of them along, so that no later job's commit goes back behind them.
 */
async function withEarlierCommits(
  root: string,
  path: string,
  subdataset: Dataset,
  jobs: readonly { readonly key: string }[],
  made: ReadonlyMap<string, string>,
): Promise<Map<string, string>> {
  const [first] = jobs;
  if (first === undefined || jobs.every(({ key }) => made.has(key))) return new Map(made);
  const above = repositoriesBetween(root, path).at(-1);
  const inAbove = above === undefined ? path : path.slice(above.length + 1);
  const parent = above === undefined ? root : `${root}/${above}`;
  const known = (await objectsInHead(parent, [inAbove])).get(inAbove);
  if (known === subdataset.head) return new Map(made);
  const { jobs: recorded } = await readHistory(subdataset, subdataset.head, known);
  const wanted = new Set(jobs.map(({ key }) => key));
  const earlier = recorded.filter((job) => job.kind === "finish" && wanted.has(jobKeyOf(job)));
  const last = earlier.at(-1);
  if (last === undefined) return new Map(made);
  const at = jobs.findIndex(({ key }) =>
    made.has(key) || earlier.some((job) => jobKeyOf(job) === key)
  );
  const { key } = jobs[at] ?? first;
  // One that has a new commit, which is on top of the earlier ones, has them already.
  return new Map([[key, last.commit], ...made]);
}

/** Returns the subdatasets directly below a repository in which a job has a commit. */
function changedSubdatasets(
  repository: string,
  key: string,
  commits: ReadonlyMap<string, ReadonlyMap<string, string>>,
): StagedChange[] {
  const below = [...commits].filter(([path]) => path !== repository && isWithin(path, repository));
  return below.flatMap(([path, made]) => {
    const object = made.get(key);
    const isDirect = !below.some(([other]) => other !== path && isWithin(path, other));
    if (object === undefined || !isDirect) return [];
    return [{
      path: repository === "." ? path : path.slice(repository.length + 1),
      mode: "160000",
      object,
    }];
  });
}

function complete(
  gathered: GatheredResults,
  deleted: ReadonlyMap<string, readonly string[]>,
  repositories: ReadonlyMap<string, FilesInRepository>,
  message: string | undefined,
): Piece {
  const ignored: string[] = [];
  const failures = [...gathered.failed];
  for (const [repository, files] of gathered.files) {
    const takenIn = repositories.get(repository)?.takenIn;
    const left = new Set(takenIn?.ignored);
    const failed = new Map(takenIn?.failed.map(({ path, reason }) => [path, reason]));
    for (const file of files) {
      const path = joinPath(repository, file);
      const reason = failed.get(file);
      if (left.has(file)) ignored.push(path);
      if (reason !== undefined) failures.push({ path, reason });
    }
  }
  const gone = [...deleted].flatMap(([repository, paths]) =>
    paths.map((path) => joinPath(repository, path))
  );
  const deletions = new Set(gone.flatMap((path) => [...pathAndAbove(path)]));
  const notes: FinishNotes = {
    // What was there before the job is deleted, and not missing.
    missing: gathered.missing.filter(({ path }) => !deletions.has(path)),
    ignored,
    deleted: gone,
    changed: gathered.changed,
    impossible: gathered.impossible,
    failed: failures,
  };
  return { ...gathered, deleted, notes, commitMessage: finishMessage(gathered, notes, message) };
}

function finishMessage(
  { job, report, accounting, outputs, runOutputs, withFiles, key, part }: GatheredResults,
  notes: FinishNotes,
  message: string | undefined,
): string {
  const lists = {
    missing: notes.missing.map(({ path }) => path),
    ignored: notes.ignored,
    deleted: notes.deleted,
    changed: notes.changed.map(({ path }) => path),
  };
  const record: WrittenRecord = {
    ...job.record,
    outputs: [...outputs],
    slurm_run_outputs: [...runOutputs],
    datalad_slurm: {
      version: 1,
      ...job.record.datalad_slurm,
      token: key,
      schedule_commit: job.commit,
      state: report.state,
      ...(report.tasks === undefined ? {} : { task_states: { ...statesOf(report) } }),
      ...(part === undefined || part.tasks.size === 0 ? {} : { array_tasks: `${part.tasks}` }),
      ...(part === undefined || part.closed.size === 0 ? {} : { closed_tasks: `${part.closed}` }),
      ...(report.assumed === true ? { assumed: true } : {}),
      ...(report.assumedTasks === undefined ? {} : { assumed_tasks: report.assumedTasks }),
      ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
      ...(withFiles ? {} : { closed: true }),
      ...(accounting === undefined ? {} : { accounting: { ...accounting } }),
    },
  };
  return encodeMessage({
    kind: "finish",
    jobId: job.jobId,
    ...(part?.isLast === false ? { tasks: `${part.tasks}` } : {}),
    state: report.state,
    ...(message === undefined ? {} : { message }),
    record,
  });
}

function depth(path: string): number {
  return path === "." ? 0 : path.split("/").length;
}
