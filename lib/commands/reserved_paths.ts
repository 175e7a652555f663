import { fixedPrefix } from "../dataset/globs.ts";
import { outermostPaths } from "../dataset/paths.ts";

/**
 * Returns the paths that a job's declared outputs reserve, relative to the dataset's root: of a
 * glob that what stands before its first wildcard.
 */
export function reservedPaths(outputs: readonly string[]): string[] {
  return outermostPaths(outputs.map(fixedPrefix));
}
