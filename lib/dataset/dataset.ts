import { ToolError } from "../errors.ts";
import { type Configuration, readConfiguration } from "../git/config.ts";
import { git } from "../git/git.ts";
import { openRepository, type Repository, superdatasetOf } from "../git/repository.ts";
import { isRepository } from "../files.ts";
import { absolutePath, pathBelow } from "../paths.ts";
import { text } from "../process/run.ts";
import { readSettings, type Settings } from "./settings.ts";
import { type StoreDirectories, storeDirectories } from "../store/directories.ts";

/** A dataset as one command sees it. */
export interface Dataset {
  readonly repository: Repository;
  /** Short for `repository.root`: the absolute path of the work tree. */
  readonly root: string;
  readonly configuration: Configuration;
  /** The user's defaults. */
  readonly settings: Settings;
  readonly store: StoreDirectories;
  /** `datalad.dataset.id`; absent in a plain git repository. */
  readonly id: string | undefined;
  /** Whether the repository has an annex; one that is still to be initialised is none. */
  readonly hasAnnex: boolean;
  /** The commit that HEAD names. */
  readonly head: string;
  /** The directory that relative paths are taken from, relative to the root. */
  readonly pwd: string;
}

/**
 * Opens the dataset that holds a directory. Throws a {@link ToolError} when there is none, or when
 * it has no commit yet.
 *
 * Relative paths count from the current directory where that is inside the dataset, else from the
 * dataset's root.
 */
export async function openDataset(directory: string | undefined): Promise<Dataset> {
  const current = currentDirectory();
  const start = directory === undefined ? current : absolutePath(directory, current);
  // git tells for sure where the root is; meanwhile the configuration of the likely one is read.
  const likely = likelyRoot(start);
  const [repository, early] = await Promise.all([
    directory === TOPMOST ? openTopmost(current) : openRepository(start),
    likely === undefined ? undefined : readConfiguration(likely).catch(() => undefined),
  ]);
  if (repository.head === undefined) {
    throw new ToolError("refused", `The dataset ${JSON.stringify(repository.root)} has no commit`, {
      hint: "Save what the jobs start from first: datalad save, or git commit",
    });
  }
  const configuration = early !== undefined && likely === repository.root
    ? early
    : await readConfiguration(repository.root);
  shareWithGroup(configuration.get("core.sharedrepository"));
  return {
    repository,
    root: repository.root,
    configuration,
    settings: readSettings(configuration),
    store: storeDirectories(repository.commonDirectory, repository.worktree),
    id: configuration.get("datalad.dataset.id"),
    hasAnnex: isAnnexInitialised(configuration),
    head: repository.head,
    pwd: pathBelow(repository.root, current) ?? ".",
  };
}

/** Whether git-annex has been initialised in a repository. */
export function isAnnexInitialised(configuration: Configuration): boolean {
  return configuration.get("annex.uuid") !== undefined;
}

/** Returns the nearest directory at or above one that looks like the root of a repository. */
function likelyRoot(directory: string): string | undefined {
  for (let at = directory;; at = at.slice(0, at.lastIndexOf("/"))) {
    if (isRepository(at)) return at;
    if (at === "") return undefined;
  }
}

/** Stands for the topmost dataset above the current directory, as in DataLad. */
const TOPMOST = "^";

async function openTopmost(directory: string): Promise<Repository> {
  const repository = await openRepository(directory);
  const above = await superdatasetOf(repository.root);
  return above === undefined ? repository : await openTopmost(above);
}

function currentDirectory(): string {
  try {
    return Deno.cwd();
  } catch (cause) {
    throw new ToolError("refused", "The current directory is gone", {
      hint: "Change to a directory that exists: cd",
      cause,
    });
  }
}

/** The umask that the user has: programs of theirs are started with it. */
export const userUmask: number = Deno.umask();

/** Lets the group, or all, write to what is made from now on, as `core.sharedRepository` asks. */
function shareWithGroup(shared: string | undefined): void {
  if (shared === undefined) return;
  const word = shared.toLowerCase();
  if (["group", "true", "1"].includes(word)) Deno.umask(userUmask & ~0o070);
  else if (["all", "world", "everybody", "2"].includes(word)) Deno.umask(userUmask & ~0o077);
  else if (/^0[0-7]{3}$/.test(word)) {
    const files = parseInt(word, 8);
    // Directories may be entered by whoever may read files: git adds that by itself (2.39).
    Deno.umask(~(files | (files & 0o444) >> 2) & 0o077);
  }
}

/**
 * Throws a {@link ToolError} when HEAD is an adjusted branch of git-annex: commits made there are
 * rewritten when it is synchronised, and jobs would lose theirs.
 */
export function refuseAdjustedBranch({ repository: { branch } }: Dataset): void {
  const [, original] = /^refs\/heads\/adjusted\/(.*)\([^()]*\)$/.exec(branch) ?? [];
  if (original === undefined) return;
  throw new ToolError(
    "refused",
    `HEAD is the adjusted branch ${JSON.stringify(branch.slice(11))}`,
    {
      hint: `Go back to the original branch: git checkout ${original}`,
    },
  );
}

/**
 * Returns the id of this clone, which records name so that a job is finished where its files are:
 * the annex's uuid, or the one that {@link makeCloneId} has made; undefined when there is neither.
 */
export function cloneId({ configuration }: Dataset): string | undefined {
  // The one that records name already stays, should the repository get an annex later.
  return configuration.get(CLONE_ID) ?? configuration.get("annex.uuid");
}

/**
 * Returns the id of this clone and makes one where there is none. Called under the repository
 * lock: two processes must not make two.
 */
export async function makeCloneId({ root }: Dataset): Promise<string> {
  const known = await git(root, ["config", "--local", "--get", CLONE_ID], { tolerate: [1] });
  if (known.code === 0) return text(known.stdout).trim();
  const made = crypto.randomUUID();
  await git(root, ["config", "--local", CLONE_ID, made]);
  return made;
}

const CLONE_ID = "datalad-slurm.uuid";
