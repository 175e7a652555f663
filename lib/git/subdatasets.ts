import { text } from "../process/run.ts";
import { git } from "./git.ts";

/**
 * Returns the first path that is a subdataset of a commit or lies inside one, or undefined. Looks
 * only at the trees above the paths, so that it costs the same in a large dataset.
 */
export async function subdatasetAbove(
  root: string,
  commit: string,
  paths: readonly string[],
): Promise<{ path: string; subdataset: string } | undefined> {
  // Every subdataset is named in .gitmodules; most datasets have none.
  try {
    Deno.statSync(`${root}/.gitmodules`);
  } catch {
    return undefined;
  }
  const above = new Map<string, string>();
  for (const path of paths) {
    const parts = path.split("/");
    parts.forEach((_, index) => above.set(parts.slice(0, index + 1).join("/"), path));
  }
  above.delete(".");
  if (above.size === 0) return undefined;
  const result = await git(root, ["ls-tree", "-z", commit, "--", ...above.keys()]);
  // "160000 commit 3f2e…\tsub" NUL (git 2.39)
  for (const entry of text(result.stdout).split("\0")) {
    const [kind, subdataset = ""] = entry.split("\t");
    const path = above.get(subdataset);
    if (kind?.startsWith("160000 ") === true && path !== undefined) return { path, subdataset };
  }
  return undefined;
}
