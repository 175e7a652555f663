import { git } from "./git.ts";
import type { Repository } from "./repository.ts";

const BRANCHES = "refs/heads/";

/**
 * Checks out a commit, on a new branch where one is named. Returns what goes back to where HEAD was
 * and removes the branch. git refuses either where that would overwrite changes.
 */
export async function checkOut(
  { root, branch, head }: Repository,
  commit: string,
  newBranch: string | undefined,
): Promise<() => Promise<void>> {
  await switchTo(root, [...(newBranch === undefined ? ["--detach"] : ["-b", newBranch]), commit]);
  return async () => {
    const isOnBranch = branch.startsWith(BRANCHES);
    await switchTo(root, isOnBranch ? [branch.slice(BRANCHES.length)] : ["--detach", head ?? ""]);
    if (newBranch === undefined) return;
    await git(root, ["update-ref", "-d", `${BRANCHES}${newBranch}`, commit]);
  };
}

async function switchTo(root: string, args: readonly string[]): Promise<void> {
  await git(root, ["checkout", "--quiet", ...args, "--"], {
    env: { GIT_OPTIONAL_LOCKS: undefined },
  });
}
