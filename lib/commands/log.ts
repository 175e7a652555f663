import { openDataset } from "../dataset/dataset.ts";
import type { Dataset } from "../dataset/dataset.ts";
import { covers, hasMagic } from "../dataset/globs.ts";
import {
  decodeCommit,
  isSubmission,
  jobKeyOf,
  readHistory,
  readOpenJobs,
  type RecordedJob,
} from "../dataset/history.ts";
import { datasetPath, pathsByRepository } from "../dataset/paths.ts";
import { coveredBy, submittedTasks } from "../dataset/task_paths.ts";
import { ToolError } from "../errors.ts";
import { isRepository, isThere } from "../files.ts";
import { commitsTouching, newestCommits, subjectsOf } from "../git/log.ts";
import { existingRefs, resolveCommit, resolveRevisions } from "../git/refs.ts";
import { entriesInCommit } from "../git/staged.ts";
import { isWithin } from "../paths.ts";
import { quoteWord } from "../record/command.ts";
import { jobInSubject } from "../record/subject.ts";
import { IndexSet } from "../slurm/array.ts";
import { jobBranch } from "./commit_results.ts";
import { requireCommit, whyNotInHistory } from "./select_jobs.ts";

/** What `log` is asked to show. */
export interface LogOptions {
  readonly dataset?: string | undefined;
  /** Commits and ranges of commits, paths, and ids of jobs. */
  readonly operands: readonly string[];
  /** Only what came after this commit. */
  readonly since?: string | undefined;
}

/** A job of a history, by its newest commit there; or one part of an array that made a file. */
export interface LoggedJob {
  readonly root: string;
  /** The commit of the results; of an open job that of the submission. */
  readonly job: RecordedJob;
  /** When that commit was made, in seconds since 1970. */
  readonly committed: number;
  /** Whether no commit of this history answers the submission. */
  readonly isOpen: boolean;
  /** The branch that holds the results of an open job, where that is not merged yet. */
  readonly branch: string | undefined;
  /** Of a job that was submitted again from another one: that one. */
  readonly from: { readonly commit: string; readonly jobId: string | undefined } | undefined;
  /** Whether the commit changes what was asked for, where paths were. */
  readonly changed: boolean | undefined;
}

/** The newest change of a path, which no job has made. */
export interface OtherChange {
  readonly root: string;
  readonly commit: string;
  readonly subject: string;
}

/** What {@link log} yields: jobs, some at a time, newest first. */
export interface LogPage {
  readonly jobs: readonly LoggedJob[];
  readonly otherChange?: OtherChange;
  readonly unreadable: readonly string[];
}

/** A page has so many jobs, or those of so many milliseconds. */
const PAGE_SIZE = 50;
const PAGE_MS = 200;

/**
 * Yields the recorded jobs of a history, newest first, each once. Nothing but history is looked at,
 * and no more of it than is asked for: the first page comes at once, whatever is below.
 */
export async function* log(options: LogOptions): AsyncGenerator<LogPage> {
  const dataset = await openDataset(options.dataset);
  const wanted = await readOperands(dataset, options);
  if (wanted.jobId !== undefined) return yield* familyOf(dataset, wanted.revisions, wanted.jobId);
  const places = wanted.paths.length === 0
    ? [[dataset.root, []] as const]
    : pathsByRepository(dataset.root, wanted.paths);
  for (const [place, paths] of places) {
    const isElsewhere = place !== dataset.root;
    const { holder, revisions } = await descend(dataset, place, wanted);
    await refuseUnknownPaths(holder, paths);
    yield* paged(holder, jobsOf(holder, revisions, { paths, isElsewhere }));
  }
}

/**
 * Opens the repository of a place and returns what the wanted revisions are there: the commits that
 * they record. Throws a {@link ToolError} where they record none, or one that is not here.
 */
async function descend(
  dataset: Dataset,
  place: string,
  { revisions: wanted, isOfHead }: Wanted,
): Promise<{ holder: Dataset; revisions: readonly string[] }> {
  let holder = dataset;
  let revisions = wanted;
  while (holder.root !== place) {
    const parts = place.slice(holder.root.length + 1).split("/");
    const paths = parts.map((_, index) => parts.slice(0, index + 1).join("/"));
    const path = paths.find((one) => isRepository(`${holder.root}/${one}`)) ?? parts.join("/");
    const below = await openDataset(`${holder.root}/${path}`);
    const mapped: string[] = [];
    for (const [index, revision] of revisions.entries()) {
      const commit = index === 0 && isOfHead
        // What is not recorded above yet counts as well.
        ? below.head
        : await commitBelow(holder, revision.replace("^", ""), path, below);
      // What is to be left out, and does not have the subdataset yet, leaves out nothing.
      if (commit !== undefined) mapped.push(revision.startsWith("^") ? `^${commit}` : commit);
    }
    if (mapped.every((revision) => revision.startsWith("^"))) {
      throw new ToolError(
        "refused",
        `The commits named have no subdataset ${JSON.stringify(path)}`,
      );
    }
    holder = below;
    revisions = mapped;
  }
  return { holder, revisions };
}

async function commitBelow(
  { root }: Dataset,
  commit: string,
  path: string,
  below: Dataset,
): Promise<string | undefined> {
  const entries = await entriesInCommit(root, commit, [path]);
  const recorded = entries.find((entry) => entry.path === path)?.object;
  if (recorded === undefined || await resolveCommit(below.repository, recorded) !== undefined) {
    return recorded;
  }
  throw new ToolError(
    "refused",
    `Commit ${commit.slice(0, 10)} has the subdataset ${JSON.stringify(path)} at commit ` +
      `${recorded.slice(0, 10)}, which is not here`,
    { hint: `Fetch it, such as with: git -C ${quoteWord(path)} fetch` },
  );
}

/** Throws for a path that is not in the work tree, and that neither commit nor record ever named. */
async function refuseUnknownPaths(dataset: Dataset, paths: readonly string[]): Promise<void> {
  const { root, head } = dataset;
  for (const path of paths) {
    if (hasMagic(path) || isThere(`${root}/${path}`)) continue;
    if ((await commitsTouching(root, [head], [path], false)).length > 0) continue;
    // A job may not have made what it declares.
    if ((await readHistory(dataset)).jobs.some((job) => names(job, path))) continue;
    throw new ToolError("refused", `There is no path ${JSON.stringify(path)}, here or in history`, {
      hint: "See the outputs of the recorded jobs with: datalad-slurm log",
    });
  }
}

interface Wanted {
  /** Ids of commits, with `^` in front for what is to be left out. */
  readonly revisions: readonly string[];
  /** Whether none is named: the first is HEAD. */
  readonly isOfHead: boolean;
  /** Relative to the dataset's root; none for all jobs. */
  readonly paths: readonly string[];
  readonly jobId: string | undefined;
}

/** Tells what the operands are. Throws a {@link ToolError} for one that is nothing, or two things. */
async function readOperands(dataset: Dataset, { operands, since }: LogOptions): Promise<Wanted> {
  const revisions: string[] = [];
  const paths: string[] = [];
  let jobId: string | undefined;
  for (const operand of operands) {
    const shown = JSON.stringify(operand);
    const path = inDataset(dataset, operand);
    const isPath = path !== undefined && (hasMagic(path) || isThere(`${dataset.root}/${path}`));
    const found = await resolveRevisions(dataset.repository, operand);
    if (isPath && found !== undefined) {
      throw new ToolError("usage", `${shown} names a file and a commit`, {
        hint: `Write ./${operand} for the file, or the commit's id`,
      });
    }
    if (isPath) paths.push(path);
    else if (/^\d+$/.test(operand) && operands.length === 1) jobId = operand;
    else if (found !== undefined) revisions.push(...found);
    // It may be gone by now; history knows.
    else if (path !== undefined) paths.push(path);
    else datasetPath(dataset.root, dataset.pwd, operand, "The path");
  }
  const isOfHead = revisions.length === 0;
  if (isOfHead) revisions.push(dataset.head);
  if (since !== undefined) revisions.push(`^${await requireCommit(dataset, since)}`);
  return { revisions, isOfHead, paths, jobId };
}

function inDataset(dataset: Dataset, operand: string): string | undefined {
  try {
    return datasetPath(dataset.root, dataset.pwd, operand, "The path");
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return undefined;
  }
}

type Item = Omit<LoggedJob, "from" | "branch"> | OtherChange | { readonly unreadable: string };

interface PathsWanted {
  readonly paths: readonly string[];
  /** Whether they are of a subdataset: records there tell paths from the root of the one above. */
  readonly isElsewhere: boolean;
}

async function* jobsOf(
  dataset: Dataset,
  revisions: readonly string[],
  { paths, isElsewhere }: PathsWanted,
): AsyncGenerator<Item> {
  const { root } = dataset;
  const touching = paths.length === 0
    ? undefined
    : await commitsTouching(root, revisions, paths, paths.some(hasMagic));
  const [newest] = touching ?? [];
  const touched = new Set(touching);
  const answered = new Answered(dataset, revisions[0] ?? dataset.head);
  for await (const { commit, message, parents, committed } of newestCommits(root, revisions)) {
    answered.sawMerge ||= parents > 1;
    let job: RecordedJob | undefined;
    try {
      job = await decodeCommit(dataset, commit, message);
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      if (touching === undefined) yield { unreadable: error.message };
    }
    if (job === undefined) {
      if (commit === newest) yield { root, commit, subject: message.split("\n", 1)[0] ?? "" };
      continue;
    }
    const changed = touching === undefined ? undefined : touched.has(commit);
    if (touching !== undefined && changed === false) {
      if (isElsewhere || !paths.some((path) => isAbout(job, path))) {
        answered.note(job);
        continue;
      }
    }
    const isOpen = isSubmission(job) && job.kind !== "run";
    const isNews = isOpen ? !await answered.has(job) : job.kind !== "part" || changed === true;
    answered.note(job);
    if (isNews) yield { root, job, committed, isOpen, changed };
  }
}

/** Whether a record declares a path, something above it, or something below it. */
function isAbout(job: RecordedJob, path: string): boolean {
  return names(job, path) || filesIn(job).some((output) => covers(output, path));
}

/** Whether a record declares a path itself, maybe as that of a task, or something below it. */
function names(job: RecordedJob, path: string): boolean {
  const { jobId, record } = job;
  const part = record.datalad_slurm?.array_tasks;
  const tasks = part === undefined ? submittedTasks(job) ?? new IndexSet() : IndexSet.of(part);
  return coveredBy({ jobId, outputs: record.outputs, tasks, withShared: false })(path) ||
    filesIn(job).some((output) => isWithin(output, path) || covers(path, output));
}

function filesIn({ record }: RecordedJob): string[] {
  return [...record.outputs, ...record.slurm_run_outputs ?? []];
}

/** The submissions that newer commits answer. */
class Answered {
  sawMerge = false;
  readonly #dataset: Dataset;
  readonly #tip: string;
  readonly #keys = new Set<string>();
  #open: Set<string> | undefined;

  constructor(dataset: Dataset, tip: string) {
    this.#dataset = dataset;
    this.#tip = tip;
  }

  note(job: RecordedJob): void {
    if (job.kind !== "finish") return;
    this.#keys.add(jobKeyOf(job));
    const { schedule_commit, token } = job.record.datalad_slurm ?? {};
    if (schedule_commit !== undefined) this.#keys.add(`commit:${schedule_commit}`);
    // The DataLad extension's records name the job only.
    if (token === undefined) this.#keys.add(`job:${job.jobId}`);
  }

  async has(job: RecordedJob): Promise<boolean> {
    if (this.#keys.has(jobKeyOf(job)) || this.#keys.has(`commit:${job.commit}`)) return true;
    if (job.record.datalad_slurm === undefined && this.#keys.delete(`job:${job.jobId}`)) {
      return true;
    }
    // In a line of commits the finish has been seen. Where lines meet, their order tells nothing.
    if (!this.sawMerge) return false;
    this.#open ??= new Set((await readOpenJobs(this.#dataset, this.#tip)).jobs.map(jobKeyOf));
    return !this.#open.has(jobKeyOf(job));
  }
}

/** Collects what comes into pages, and finds the jobs that theirs descend from. */
async function* paged(dataset: Dataset, items: AsyncGenerator<Item>): AsyncGenerator<LogPage> {
  let page: Item[] = [];
  let started = performance.now();
  for (let next = items.next();;) {
    const left = Math.max(0, started + PAGE_MS - performance.now());
    const result = page.length === 0 ? await next : await Promise.race([next, timeout(left)]);
    if (result !== undefined && result.done !== true) {
      if (page.length === 0) started = performance.now();
      page.push(result.value);
      next = items.next();
      if (page.length < PAGE_SIZE && performance.now() < started + PAGE_MS) continue;
    }
    if (page.length > 0) yield await finishPage(dataset, page);
    page = [];
    if (result?.done === true) return;
  }
}

function timeout(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

async function finishPage(dataset: Dataset, items: readonly Item[]): Promise<LogPage> {
  const jobs = items.filter((item) => "job" in item);
  const parents = jobs.flatMap(({ job }) => job.record.chain.slice(-1));
  const subjects = await subjectsOf(dataset.root, [...new Set(parents)]);
  const open = jobs.filter(({ isOpen }) => isOpen).map(({ job }) => jobBranch(job));
  const branches = await existingRefs(dataset.repository, open);
  const otherChange = items.find((item) => "subject" in item);
  return {
    jobs: jobs.map((item) => {
      const commit = item.job.record.chain.at(-1);
      const jobId = commit === undefined ? undefined : jobInSubject(subjects.get(commit) ?? "");
      const branch = jobBranch(item.job);
      return {
        ...item,
        branch: item.isOpen && branches.has(branch) ? branch : undefined,
        from: commit === undefined ? undefined : { commit, jobId },
      };
    }),
    ...(otherChange === undefined ? {} : { otherChange }),
    unreadable: items.flatMap((item) => "unreadable" in item ? [item.unreadable] : []),
  };
}

/** Yields a job, what it descends from, and what descends from it. */
async function* familyOf(
  dataset: Dataset,
  revisions: readonly string[],
  jobId: string,
): AsyncGenerator<LogPage> {
  const pages: LogPage[] = [];
  for await (
    const page of paged(dataset, jobsOf(dataset, revisions, { paths: [], isElsewhere: false }))
  ) pages.push(page);
  const jobs = pages.flatMap((page) => page.jobs);
  const commitOf = ({ job }: LoggedJob) => job.record.datalad_slurm?.schedule_commit ?? job.commit;
  const own = jobs.filter(({ job }) => job.jobId === jobId);
  if (own.length === 0) {
    const commit = await resolveCommit(dataset.repository, jobId);
    if (commit !== undefined) {
      throw new ToolError("refused", `No job ${jobId} is recorded in this history`, {
        hint: `For the commit of that name write ${jobId}^0`,
      });
    }
    const { reason, hint } = revisions.length > 1
      ? { reason: `No job ${jobId} is recorded after the commit given with --since` }
      : await whyNotInHistory(dataset, jobId, undefined);
    throw new ToolError("refused", reason, hint === undefined ? {} : { hint });
  }
  const commits = new Set(own.map(commitOf));
  const ancestors = new Set(own.flatMap(({ job }) => job.record.chain));
  yield {
    jobs: jobs.filter((logged) =>
      own.includes(logged) || ancestors.has(commitOf(logged)) ||
      logged.job.record.chain.some((commit) => commits.has(commit))
    ),
    unreadable: [],
  };
}
