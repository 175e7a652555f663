import { ToolError } from "../errors.ts";
import { isAbsence } from "../files.ts";
import { absolutePath } from "../paths.ts";
import { externalError, type RunResult, text } from "../process/run.ts";
import { git } from "./git.ts";

/** One work tree of a git repository and where its branch stands. */
export interface Repository {
  /** The work tree's absolute path, symbolic links resolved as git resolves them. */
  readonly root: string;
  /** The git directory of this work tree. */
  readonly gitDirectory: string;
  /** The git directory shared by all work trees of the repository. */
  readonly commonDirectory: string;
  /** The name of a linked work tree (`git worktree`); undefined for the main one. */
  readonly worktree: string | undefined;
  /** The object id of all zeros, which stands for "no object"; its length is the repository's. */
  readonly nullId: string;
  /** The commit that HEAD names; undefined before the first commit. */
  readonly head: string | undefined;
  /** The branch as a full ref name, or `HEAD` when it is detached. */
  readonly branch: string;
  /** The lock's epoch (`refs/datalad-slurm/epoch`); undefined when no lock was ever broken. */
  readonly epoch: string | undefined;
}

/** The ref that fences off a lock holder whose lock was broken. */
export const EPOCH_REF = "refs/datalad-slurm/epoch";

// `git rev-parse` prints unknown options back, so this one parts answers that may hold newlines.
const MARK = "--datalad-slurm-mark";

/**
 * Returns the repository whose work tree holds a directory. Throws a {@link ToolError} when there
 * is none, when it is bare, or when git refuses to use it.
 */
export async function openRepository(directory: string): Promise<Repository> {
  const result = await git(directory, [
    "rev-parse",
    "--show-toplevel",
    MARK,
    "--absolute-git-dir",
    MARK,
    "--git-common-dir",
    MARK,
    "--show-object-format",
    MARK,
    // A pattern matches or is silent, where the plain name of a missing ref would be an error.
    "--glob=refs/datalad-slurm/epoc[h]",
    MARK,
    // Last, because it fails before the first commit.
    "HEAD",
    "--symbolic-full-name",
    "HEAD",
  ], { tolerate: [128] });
  const answers = text(result.stdout).split(`${MARK}\n`).map((part) => part.replace(/\n$/, ""));
  const [root, gitDirectory, common, format, epoch, head = ""] = answers;
  if (!root || !gitDirectory || !common) throw openError(result, directory);
  // Relative to where git is: not to a link to a directory below the root (git 2.39).
  const commonDirectory = absolutePath(common, Deno.realPathSync(directory));
  const worktrees = `${commonDirectory}/worktrees/`;
  const [commit, branch] = result.code === 0 ? head.split("\n") : [];
  return {
    root,
    gitDirectory,
    commonDirectory,
    worktree: gitDirectory.startsWith(worktrees) ? gitDirectory.slice(worktrees.length) : undefined,
    nullId: "0".repeat(format === "sha256" ? 64 : 40),
    head: commit,
    branch: branch ?? "HEAD",
    epoch: epoch || undefined,
  };
}

/**
 * Returns a work tree of the same repository by its name, undefined for the main one; undefined where it
 * is gone, or the main one cannot be told from the git directory's place.
 */
export async function openWorktree(
  repository: Repository,
  worktree: string | undefined,
): Promise<Repository | undefined> {
  if (worktree === repository.worktree) return repository;
  const { commonDirectory } = repository;
  try {
    const link = worktree === undefined
      ? commonDirectory
      : Deno.readTextFileSync(`${commonDirectory}/worktrees/${worktree}/gitdir`).trimEnd();
    const found = await openRepository(link.replace(/\/\.git$/, ""));
    const isIt = found.commonDirectory === commonDirectory && found.worktree === worktree;
    return isIt ? found : undefined;
  } catch (error) {
    if (isAbsence(error) || error instanceof ToolError) return undefined;
    throw error;
  }
}

/** Returns the work tree of the repository that has this one as a submodule, or undefined. */
export async function superdatasetOf(root: string): Promise<string | undefined> {
  const result = await git(root, ["rev-parse", "--show-superproject-working-tree"]);
  return text(result.stdout).replace(/\n$/, "") || undefined;
}

function openError(result: RunResult, directory: string): ToolError {
  const where = JSON.stringify(directory);
  if (/not a git repository/i.test(result.stderr)) {
    return new ToolError("refused", `No dataset at ${where}, nor above it`, {
      hint: "Go into a DataLad dataset or git repository, or name one with -d; " +
        "`datalad create` or `git init` make one",
    });
  }
  if (/must be run in a work tree/.test(result.stderr)) {
    return new ToolError("refused", `The repository at ${where} has no work tree here`, {
      hint: "Use a clone with a work tree: jobs need files to work on",
    });
  }
  return externalError(result, `git cannot use ${where}`);
}
