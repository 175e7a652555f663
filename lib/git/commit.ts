import { text } from "../process/run.ts";
import { git } from "./git.ts";

/** One commit to be made of a tree that exists already. */
export interface CommitRequest {
  /** An object id, or an expression such as `COMMIT^{tree}`. */
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
  /** Whether the commit is signed, as `commit.gpgSign` asks. */
  readonly sign: boolean;
}

/** Makes a commit object and returns its id. No ref, no index and no file changes. */
export async function createCommit(root: string, request: CommitRequest): Promise<string> {
  const result = await git(root, [
    "-c",
    "i18n.commitEncoding=UTF-8",
    "commit-tree",
    request.tree,
    ...request.parents.flatMap((parent) => ["-p", parent]),
    ...(request.sign ? ["-S"] : []),
    "-F",
    "-",
  ], { stdin: request.message });
  return text(result.stdout).trim();
}
