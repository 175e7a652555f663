import { outermostPaths } from "../dataset/paths.ts";
import { reservedPath } from "../dataset/task_paths.ts";

/**
 * Returns the paths that a job's declared outputs reserve, relative to the dataset's root: of a
 * glob, and of one that names array tasks (`%a`), that what stands before.
 */
export function reservedPaths(outputs: readonly string[]): string[] {
  return outermostPaths(outputs.map(reservedPath));
}
