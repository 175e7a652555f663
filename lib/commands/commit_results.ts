import { collectOutputs, OutputOwners } from "../dataset/collect.ts";
import type { Dataset } from "../dataset/dataset.ts";
import { jobKeyOf, readOpenJobs, type RecordedJob } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { createCommit } from "../git/commit.ts";
import { createCommitSeries, type SeriesCommit } from "../git/commit_series.ts";
import { readIdentity } from "../git/identity.ts";
import { pathsInCommit, type StagedChange, stagedChanges } from "../git/staged.ts";
import { takeIn, takeInWithAnnex, type TakenIn, unstage } from "../git/stage.ts";
import { encodeMessage } from "../record/message.ts";
import type { WrittenRecord } from "../record/schema.ts";
import type { JobAccounting } from "../slurm/account.ts";
import type { JobReport } from "../slurm/report.ts";
import { removeEntry, writeEntry } from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { release } from "../store/reservations.ts";
import { writeEnvironment } from "./environment_file.ts";
import { jobFiles } from "./job_files.ts";
import { type Locked, locked, type LockPatience } from "./locked.ts";
import { reservedPaths } from "./reserved_paths.ts";
import { newToken } from "./token.ts";

/** A job that is over and gets its finish commit. */
export interface FinishingJob {
  readonly job: RecordedJob;
  readonly report: JobReport;
  /** Whether the commit holds the job's files; a closed job's does not. */
  readonly withFiles: boolean;
}

/** What the reader should know of a finished job's files; all paths relative to the root. */
export interface FinishNotes {
  /** Declared outputs and logs that are not there. */
  readonly missing: readonly string[];
  /** Outputs that git ignores. */
  readonly ignored: readonly string[];
  /** Outputs of the job that the dataset had and that are gone. */
  readonly deleted: readonly string[];
  /** What cannot be committed, with the reason. */
  readonly impossible: readonly { readonly path: string; readonly reason: string }[];
}

/** What {@link commitResults} is given. */
export interface ResultsToCommit {
  readonly jobs: readonly FinishingJob[];
  readonly accounts: (job: RecordedJob) => JobAccounting | undefined;
  /** Jobs that stay open: their files are nobody else's, wherever they are. */
  readonly otherOpenJobs: readonly RecordedJob[];
  readonly message: string | undefined;
}

/** A job on its way into a commit. */
interface Piece extends FinishingJob {
  readonly key: string;
  readonly logs: readonly string[];
  readonly environment: string;
  readonly files: readonly string[];
  readonly notes: FinishNotes;
}

/**
 * Makes the finish commits of jobs, each with exactly its job's files, and returns them by job
 * key. A job that another process has finished meanwhile is not among them.
 */
export async function commitResults(
  dataset: Dataset,
  results: ResultsToCommit,
  patience: LockPatience,
): Promise<Map<string, { readonly commit: string; readonly notes: FinishNotes }>> {
  const token = newToken();
  const author = await readIdentity(dataset.root, "AUTHOR");
  const committer = await readIdentity(dataset.root, "COMMITTER");
  const foreign = new Set(results.otherOpenJobs.flatMap((job) => {
    const { logs, environment } = jobFiles(dataset.root, job);
    return [...logs, environment];
  }));
  const found = results.jobs.map((finishing) => gather(dataset, results, finishing, foreign));
  const files = [...new Set(found.flatMap((piece) => piece.files))];
  const takenIn = dataset.hasAnnex ? await takeInWithAnnex(dataset.root, files) : await takeIn(
    dataset.root,
    files,
    `${dataset.repository.gitDirectory}/datalad-slurm-index-${token}`,
  );
  const pieces = await withNotes(dataset, found, takenIn);
  const temporaryRef = `refs/datalad-slurm/finishing/${token}`;
  return await locked(dataset, patience, async (held) => {
    const waiting = await stillOpen(dataset, held, pieces);
    if (waiting.length === 0) return new Map();
    writeEntry(dataset.store.journal, {
      version: 1,
      kind: "finish",
      token,
      owner: ownIdentity(),
      since: Date.now(),
      temporaryRef,
    });
    held.lock.phase("index");
    await takenIn.stage();
    await unstage(dataset.root, waiting.flatMap(({ notes }) => notes.deleted));
    const commits = await publishCommits(dataset, held, waiting, {
      author,
      committer,
      temporaryRef,
      results,
      foreign,
    });
    for (const { job, key } of waiting) {
      release(dataset.store.reservations, key, reservedPaths(job.record.outputs));
    }
    removeEntry(dataset.store.journal, token);
    return new Map(
      waiting.map(({ key, notes }, index) => [key, { commit: commits[index] ?? "", notes }]),
    );
  });
}

/** Finds the files of one job, and writes down beside them what Slurm knew of it. */
function gather(
  dataset: Dataset,
  results: ResultsToCommit,
  finishing: FinishingJob,
  foreign: ReadonlySet<string>,
): Piece {
  const { job, report, withFiles } = finishing;
  const key = jobKeyOf(job);
  const { logs, environment } = jobFiles(dataset.root, job);
  if (!withFiles) {
    const notes = { missing: [], ignored: [], deleted: [], impossible: [] };
    return { ...finishing, key, logs: [], environment, files: [], notes };
  }
  writeEnvironment(dataset.root, environment, job, report, results.accounts(job));
  const outside = job.record.outputs.filter((path) => !isInside(path));
  const collected = collectOutputs(
    dataset.root,
    [...new Set([...job.record.outputs, ...logs])].filter(isInside),
    (path) => foreign.has(path),
  );
  return {
    ...finishing,
    key,
    logs: logs.filter((path) => !collected.missing.includes(path)),
    environment,
    files: [...collected.files, environment],
    notes: {
      missing: collected.missing,
      ignored: [],
      deleted: [],
      impossible: [
        ...outside.map((path) => ({ path, reason: "it is outside the dataset" })),
        ...collected.impossible,
        ...collected.repositories.map((path) => ({
          path,
          reason: "it is a repository of its own",
        })),
      ],
    },
  };
}

/** Records come from elsewhere too: a path that leaves the dataset is not looked at. */
function isInside(path: string): boolean {
  return !path.startsWith("/") && !path.split("/").some((part) => part === ".git" || part === "..");
}

async function withNotes(
  dataset: Dataset,
  pieces: readonly Piece[],
  takenIn: TakenIn,
): Promise<Piece[]> {
  const ignored = new Set(takenIn.ignored);
  const failed = new Map(takenIn.failed.map(({ path, reason }) => [path, reason]));
  const outputs = pieces.flatMap(({ job, withFiles }) => withFiles ? job.record.outputs : []);
  const before = await pathsInCommit(dataset.root, dataset.head, outputs.filter(isInside));
  const owners = ownersOf(pieces);
  const present = new Set(pieces.flatMap(({ files }) => files));
  const deleted = Map.groupBy(
    [...before].filter((path) => !present.has(path) && !exists(`${dataset.root}/${path}`)),
    (path) => owners.find(path),
  );
  return pieces.map((piece) => ({
    ...piece,
    notes: {
      missing: piece.notes.missing,
      ignored: piece.files.filter((path) => ignored.has(path)),
      deleted: deleted.get(piece.key) ?? [],
      impossible: [
        ...piece.notes.impossible,
        ...piece.files.flatMap((path) => {
          const reason = failed.get(path);
          return reason === undefined ? [] : [{ path, reason }];
        }),
      ],
    },
  }));
}

function ownersOf(pieces: readonly Piece[]): OutputOwners<string> {
  const owners = new OutputOwners<string>();
  // A log may lie inside another job's output directory: it stays its own job's.
  for (const { key, logs, environment, withFiles } of pieces) {
    if (withFiles) { for (const path of [...logs, environment]) owners.declare(path, key); }
  }
  for (const { key, job, withFiles } of pieces) {
    if (withFiles) { for (const path of job.record.outputs) owners.declare(path, key); }
  }
  return owners;
}

/** Returns the jobs that no other process has finished since the command began. */
async function stillOpen(
  dataset: Dataset,
  held: Locked,
  pieces: readonly Piece[],
): Promise<readonly Piece[]> {
  const { commit } = await held.readTip();
  if (commit === dataset.head) return pieces;
  const open = new Set((await readOpenJobs(dataset, commit)).jobs.map(jobKeyOf));
  return pieces.filter(({ key }) => open.has(key));
}

interface Publication {
  readonly author: string;
  readonly committer: string;
  readonly temporaryRef: string;
  readonly results: ResultsToCommit;
  readonly foreign: ReadonlySet<string>;
}

/** Builds the commits on the branch's tip and moves the branch; again, if it has moved meanwhile. */
async function publishCommits(
  dataset: Dataset,
  held: Locked,
  pieces: readonly Piece[],
  publication: Publication,
): Promise<string[]> {
  const { root, repository } = dataset;
  for (;;) {
    const tip = await held.readTip();
    if (tip.checkedOut !== repository.branch) {
      throw new ToolError("refused", `HEAD was switched to ${tip.checkedOut} meanwhile`, {
        hint: "Run the command again on the branch that the jobs belong to",
      });
    }
    held.lock.phase("index");
    const changes = await stagedChanges(root, tip.commit);
    const commits = await buildCommits(dataset, pieces, changes, tip.commit, publication);
    const last = commits.at(-1);
    if (last === undefined) return [];
    held.lock.phase("refs only");
    const moved = await held.publish({
      ref: repository.branch,
      newId: last,
      oldId: tip.commit,
      remove: [publication.temporaryRef],
      reason: `datalad-slurm finish: ${pieces.length} jobs`,
    });
    if (moved) return commits;
  }
}

async function buildCommits(
  dataset: Dataset,
  pieces: readonly Piece[],
  changes: readonly StagedChange[],
  tip: string,
  { author, committer, temporaryRef, results, foreign }: Publication,
): Promise<string[]> {
  const owners = ownersOf(pieces);
  const byOwner = Map.groupBy(
    changes.filter(({ path }) => !foreign.has(path)),
    ({ path }) => owners.find(path),
  );
  await requireCommitted(dataset, pieces, changes, tip);
  const series: SeriesCommit[] = pieces.map((piece) => ({
    message: finishMessage(piece, results),
    changes: byOwner.get(piece.key) ?? [],
  }));
  const ids = await createCommitSeries(dataset.root, series, {
    onto: tip,
    temporaryRef,
    author,
    committer,
  });
  if (!dataset.configuration.getBoolean("commit.gpgsign", false)) return ids;
  return await signCommits(dataset.root, ids, series, tip);
}

/**
 * Throws when a file was taken in and is neither staged nor in the commit already: then it would
 * be missing from the job's commit without a word.
 */
async function requireCommitted(
  dataset: Dataset,
  pieces: readonly Piece[],
  changes: readonly StagedChange[],
  tip: string,
): Promise<void> {
  const staged = new Set(changes.map(({ path }) => path));
  const unchanged = pieces.flatMap(({ files, notes }) => {
    const left = new Set([...notes.ignored, ...notes.impossible.map(({ path }) => path)]);
    return files.filter((path) => !staged.has(path) && !left.has(path));
  });
  if (unchanged.length === 0) return;
  const known = await pathsInCommit(dataset.root, tip, unchanged);
  const lost = unchanged.filter((path) => !known.has(path));
  if (lost.length > 0) {
    throw new ToolError("external", `${JSON.stringify(lost[0])} could not be staged`, {
      hint: "Nothing was committed; run the command again",
      details: lost.slice(0, 20).join("\n"),
    });
  }
}

/** `git fast-import` cannot sign (2.39): the commits are made once more, with its trees. */
async function signCommits(
  root: string,
  ids: readonly string[],
  series: readonly SeriesCommit[],
  tip: string,
): Promise<string[]> {
  const signed: string[] = [];
  for (const [index, id] of ids.entries()) {
    signed.push(
      await createCommit(root, {
        tree: `${id}^{tree}`,
        parents: [signed.at(-1) ?? tip],
        message: series[index]?.message ?? "",
        sign: true,
      }),
    );
  }
  return signed;
}

function finishMessage(piece: Piece, results: ResultsToCommit): string {
  const { job, report, notes, logs, environment, withFiles } = piece;
  const accounting = results.accounts(job);
  const lists = { missing: notes.missing, ignored: notes.ignored, deleted: notes.deleted };
  const record: WrittenRecord = {
    ...job.record,
    slurm_run_outputs: withFiles ? [...logs, environment] : [],
    datalad_slurm: {
      version: 1,
      ...job.record.datalad_slurm,
      token: jobKeyOf(job),
      schedule_commit: job.commit,
      state: report.state,
      ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
      ...(withFiles ? {} : { closed: true }),
      ...(accounting === undefined ? {} : { accounting: { ...accounting } }),
    },
  };
  return encodeMessage({
    kind: "finish",
    jobId: job.jobId,
    state: report.state,
    ...(results.message === undefined ? {} : { message: results.message }),
    record,
  });
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
