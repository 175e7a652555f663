import { text } from "../process/run.ts";
import { git } from "./git.ts";
import { argumentChunks } from "./staged.ts";

/** Returns which of some files are there, and neither tracked nor ignored; not those of subdatasets. */
export async function untrackedFiles(root: string, paths: readonly string[]): Promise<Set<string>> {
  return await others(root, ["--exclude-standard"], paths);
}

/** Returns the same with those that are ignored. */
export async function filesWithoutEntry(
  root: string,
  paths: readonly string[],
): Promise<Set<string>> {
  return await others(root, [], paths);
}

async function others(
  root: string,
  options: readonly string[],
  paths: readonly string[],
): Promise<Set<string>> {
  const untracked = new Set<string>();
  for (const chunk of argumentChunks(paths)) {
    const args = ["ls-files", "--others", ...options, "-z", "--", ...chunk];
    for (const path of text((await git(root, args)).stdout).split("\0")) {
      if (path !== "") untracked.add(path);
    }
  }
  return untracked;
}
