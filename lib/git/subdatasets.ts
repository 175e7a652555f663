import { externalError, text } from "../process/run.ts";
import { git } from "./git.ts";
import type { IndexDraft } from "./index_draft.ts";
import { putIntoIndex, type StagedChange } from "./changes.ts";

/** Returns the paths of a repository's subdatasets, as `.gitmodules` in the work tree has them. */
export async function readSubdatasetPaths(root: string): Promise<Set<string>> {
  try {
    Deno.statSync(`${root}/.gitmodules`);
  } catch {
    return new Set();
  }
  // submodule.NAME.path LF PATH NUL; exit code 1 when there is none (git 2.39)
  const result = await git(root, [
    "config",
    "-z",
    "--file",
    ".gitmodules",
    "--get-regexp",
    "^submodule\\..*\\.path$",
  ], { tolerate: [1] });
  return new Set(
    text(result.stdout).split("\0").filter((entry) => entry !== "")
      .map((entry) => entry.slice(entry.indexOf("\n") + 1).replace(/\/+$/, "")),
  );
}

/** Writes subdatasets' commits into the draft of the index. */
export async function stageSubdatasets(
  root: string,
  links: readonly StagedChange[],
  draft: IndexDraft,
): Promise<void> {
  if (links.length === 0) return;
  await putIntoIndex(root, links, { env: draft.environment });
}

/**
 * Installs a subdataset as DataLad does: cloned, on its branch where that is at the commit wanted.
 * Throws a {@link ToolError} when it cannot be had.
 */
export async function installSubdataset(root: string, path: string): Promise<void> {
  const origin = await git(root, ["config", "--get", "remote.origin.url"], { tolerate: [1] });
  const isLocal = /^(\/|\.|file:)/.test(text(origin.stdout));
  const result = await git(root, [
    // git 2.38 and later do not clone from local paths on the word of `.gitmodules` alone; where
    // the dataset itself came from one, its subdatasets are beside it.
    ...(isLocal ? ["-c", "protocol.file.allow=always"] : []),
    "submodule",
    "update",
    "--init",
    "--",
    path,
  ], { env: { GIT_LITERAL_PATHSPECS: undefined }, tolerate: [1, 128] });
  if (result.code !== 0) {
    throw externalError(
      result,
      `The subdataset ${JSON.stringify(path)} of ${JSON.stringify(root)} cannot be installed`,
      "Nothing was submitted; install it yourself, or use --assume-ready inputs",
    );
  }
  const installed = `${root}/${path}`;
  const [branch, ...others] = await listRefs(installed, ["--points-at=HEAD", "refs/heads/"]);
  if (branch !== undefined && others.length === 0) {
    await git(installed, ["symbolic-ref", "HEAD", branch]);
  }
}

async function listRefs(root: string, args: readonly string[]): Promise<string[]> {
  const result = await git(root, ["for-each-ref", "--format=%(refname)", ...args]);
  return text(result.stdout).split("\n").filter((ref) => ref !== "");
}
