import type { Dataset } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { createCommit } from "../git/commit.ts";
import { createCommitSeries } from "../git/commit_series.ts";
import { readIdentity } from "../git/identity.ts";
import { pathsInCommit, type StagedChange, stagedChanges } from "../git/staged.ts";
import { takeIn, takeInWithAnnex, type TakenIn, unstage } from "../git/stage.ts";
import { stageSubdatasets } from "../git/subdatasets.ts";
import { removeEntry, writeEntry } from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { type Locked, locked, type LockPatience } from "./locked.ts";
import { newToken } from "./token.ts";

/** What one job changes in one repository; paths are relative to that repository. */
export interface JobFilesToCommit {
  readonly key: string;
  readonly files: readonly string[];
  readonly deleted: readonly string[];
  /** Subdatasets that the job has changed, with their new commits. */
  readonly subdatasets: readonly StagedChange[];
  readonly message: string;
}

/** The files of jobs on their way into one repository. */
export interface FilesInRepository {
  readonly dataset: Dataset;
  readonly takenIn: TakenIn;
}

/** How the commits of one repository are made. */
export interface CommitOptions {
  /** Whether a job without any change gets a commit as well. */
  readonly evenWithoutChanges: boolean;
  /** Under the lock: leaves out jobs that another process has finished meanwhile. */
  readonly stillWanted: (
    jobs: readonly JobFilesToCommit[],
    held: Locked,
  ) => Promise<readonly JobFilesToCommit[]>;
  /** Under the lock, when the branch has moved. */
  readonly afterwards: (jobs: readonly JobFilesToCommit[]) => void;
}

/** Takes files in: git or git-annex has their content then, but not yet the index. */
export async function takeFilesIn(
  dataset: Dataset,
  files: readonly string[],
): Promise<FilesInRepository> {
  const { root, repository } = dataset;
  const takenIn = dataset.hasAnnex
    ? await takeInWithAnnex(root, files)
    : await takeIn(root, files, `${repository.gitDirectory}/datalad-slurm-index-${newToken()}`);
  return { dataset, takenIn };
}

/**
 * Commits the files of jobs in one repository, one commit a job, on its branch; returns the
 * commits by job key. Nothing but these files is in the commits, whatever else is staged.
 */
export async function commitFiles(
  { dataset, takenIn }: FilesInRepository,
  jobs: readonly JobFilesToCommit[],
  options: CommitOptions,
  patience: LockPatience,
): Promise<Map<string, string>> {
  const token = newToken();
  const temporaryRef = `refs/datalad-slurm/finishing/${token}`;
  const author = await readIdentity(dataset.root, "AUTHOR");
  const committer = await readIdentity(dataset.root, "COMMITTER");
  return await locked(dataset, patience, async (held) => {
    const wanted = await options.stillWanted(jobs, held);
    if (wanted.length === 0) {
      await takenIn.stage();
      return new Map();
    }
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
    await unstage(dataset.root, wanted.flatMap(({ deleted }) => deleted));
    await stageSubdatasets(dataset.root, latest(wanted.flatMap((job) => job.subdatasets)));
    const commits = await publishSeries(dataset, held, wanted, {
      evenWithoutChanges: options.evenWithoutChanges,
      passedOver: new Set([...takenIn.ignored, ...takenIn.failed.map(({ path }) => path)]),
      temporaryRef,
      author,
      committer,
    });
    options.afterwards(wanted);
    removeEntry(dataset.store.journal, token);
    return commits;
  });
}

interface Series {
  readonly evenWithoutChanges: boolean;
  /** Files that were not taken in, as the notes say. */
  readonly passedOver: ReadonlySet<string>;
  readonly temporaryRef: string;
  readonly author: string;
  readonly committer: string;
}

/** Builds the commits on the branch's tip and moves the branch; again, if it has moved meanwhile. */
async function publishSeries(
  dataset: Dataset,
  held: Locked,
  jobs: readonly JobFilesToCommit[],
  series: Series,
): Promise<Map<string, string>> {
  const { root, repository } = dataset;
  for (;;) {
    const tip = await held.readTip();
    if (tip.checkedOut !== repository.branch) {
      throw new ToolError("refused", `HEAD was switched to ${tip.checkedOut} meanwhile`, {
        hint: "Run the command again on the branch that the jobs belong to",
      });
    }
    held.lock.phase("index");
    const staged = await stagedChanges(root, tip.commit);
    await requireStaged(root, jobs, staged, series.passedOver, tip.commit);
    const changes = changesByJob(jobs, staged);
    const committing = series.evenWithoutChanges
      ? jobs
      : jobs.filter(({ key }) => (changes.get(key)?.length ?? 0) > 0);
    if (committing.length === 0) return new Map();
    const commits = await buildSeries(dataset, committing, changes, tip.commit, series);
    held.lock.phase("refs only");
    const moved = await held.publish({
      ref: repository.branch,
      newId: commits.at(-1) ?? tip.commit,
      oldId: tip.commit,
      remove: [series.temporaryRef],
      reason: `datalad-slurm finish: ${committing.length} jobs`,
    });
    if (moved) return new Map(committing.map(({ key }, index) => [key, commits[index] ?? ""]));
  }
}

/** Parts what is staged among the jobs whose files it is; all else stays out. */
function changesByJob(
  jobs: readonly JobFilesToCommit[],
  staged: readonly StagedChange[],
): Map<string, StagedChange[]> {
  const owners = new Map(
    jobs.flatMap(({ key, files, deleted }) =>
      [...files, ...deleted].map((path) => [path, key] as const)
    ),
  );
  const changes = new Map(jobs.map(({ key, subdatasets }) => [key, [...subdatasets]]));
  for (const change of staged) {
    const owner = owners.get(change.path);
    if (owner !== undefined) changes.get(owner)?.push(change);
  }
  return changes;
}

async function buildSeries(
  { root, configuration }: Dataset,
  jobs: readonly JobFilesToCommit[],
  changes: ReadonlyMap<string, readonly StagedChange[]>,
  tip: string,
  { temporaryRef, author, committer }: Series,
): Promise<string[]> {
  const ids = await createCommitSeries(
    root,
    jobs.map(({ key, message }) => ({ message, changes: changes.get(key) ?? [] })),
    { onto: tip, temporaryRef, author, committer },
  );
  if (!configuration.getBoolean("commit.gpgsign", false)) return ids;
  // `git fast-import` cannot sign (2.39): the commits are made once more, with its trees.
  const signed: string[] = [];
  for (const [index, id] of ids.entries()) {
    signed.push(
      await createCommit(root, {
        tree: `${id}^{tree}`,
        parents: [signed.at(-1) ?? tip],
        message: jobs[index]?.message ?? "",
        sign: true,
      }),
    );
  }
  return signed;
}

/**
 * Throws when a file was taken in and is neither staged nor in the commit already: then it would
 * be missing from the job's commit without a word.
 */
async function requireStaged(
  root: string,
  jobs: readonly JobFilesToCommit[],
  staged: readonly StagedChange[],
  passedOver: ReadonlySet<string>,
  tip: string,
): Promise<void> {
  const paths = new Set(staged.map(({ path }) => path));
  const unchanged = jobs.flatMap(({ files }) =>
    files.filter((path) => !paths.has(path) && !passedOver.has(path))
  );
  if (unchanged.length === 0) return;
  const known = await pathsInCommit(root, tip, unchanged);
  const lost = unchanged.filter((path) => !known.has(path));
  if (lost.length > 0) {
    throw new ToolError("external", `${JSON.stringify(lost[0])} could not be staged`, {
      hint: "Nothing was committed; run the command again",
      details: lost.slice(0, 20).join("\n"),
    });
  }
}

/** Returns the last change of each path. */
function latest(changes: readonly StagedChange[]): StagedChange[] {
  return [...new Map(changes.map((change) => [change.path, change])).values()];
}
