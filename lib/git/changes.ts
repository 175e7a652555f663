import { git, type GitOptions } from "./git.ts";

/** One path in which the index differs from a commit. */
export interface StagedChange {
  readonly path: string;
  /** The mode in the index as git writes it, such as `100644`; undefined when it is deleted. */
  readonly mode: string | undefined;
  /** The object id in the index. */
  readonly object: string;
}

/** Puts entries into the index, or into the one that the environment names, and takes out the deleted. */
export async function putIntoIndex(
  root: string,
  entries: readonly StagedChange[],
  options: Pick<GitOptions, "env"> = {},
): Promise<void> {
  await git(root, ["update-index", "--add", "--replace", "-z", "--index-info"], {
    ...options,
    stdin: entries.map(({ mode, object, path }) =>
      `${mode ?? "0"} ${mode === undefined ? "0".repeat(object.length) : object}\t${path}\0`
    ).join(""),
  });
}
