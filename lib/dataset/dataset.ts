import { ToolError } from "../errors.ts";
import { type Configuration, readConfiguration } from "../git/config.ts";
import { git } from "../git/git.ts";
import { openRepository, type Repository } from "../git/repository.ts";
import { absolutePath, pathBelow } from "../paths.ts";
import { type StoreDirectories, storeDirectories } from "../store/directories.ts";

/** A dataset as one command sees it. */
export interface Dataset {
  readonly repository: Repository;
  /** Short for `repository.root`: the absolute path of the work tree. */
  readonly root: string;
  readonly configuration: Configuration;
  readonly store: StoreDirectories;
  /** `datalad.dataset.id`; absent in a plain git repository. */
  readonly id: string | undefined;
  /** Whether the repository has an annex. */
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
  const current = Deno.cwd();
  const repository = await openRepository(
    directory === undefined ? current : absolutePath(directory, current),
  );
  if (repository.head === undefined) {
    throw new ToolError("refused", `The dataset ${JSON.stringify(repository.root)} has no commit`, {
      hint: "Save what the jobs start from first: datalad save, or git commit",
    });
  }
  const configuration = await readConfiguration(repository.root);
  return {
    repository,
    root: repository.root,
    configuration,
    store: storeDirectories(repository.commonDirectory, repository.worktree),
    id: configuration.get("datalad.dataset.id"),
    hasAnnex: configuration.get("annex.uuid") !== undefined,
    head: repository.head,
    pwd: pathBelow(repository.root, current) ?? ".",
  };
}

/**
 * Returns the id of this clone, which records name so that a job is finished where its files are:
 * the annex's uuid, or one of our own that is made when first asked for.
 */
export async function cloneId(dataset: Dataset): Promise<string> {
  const known = dataset.configuration.get("annex.uuid") ??
    dataset.configuration.get("datalad-slurm.uuid");
  if (known !== undefined) return known;
  const made = crypto.randomUUID();
  await git(dataset.root, ["config", "--local", "datalad-slurm.uuid", made]);
  return made;
}
