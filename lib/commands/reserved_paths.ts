import { outermostPaths } from "../dataset/paths.ts";

/** Returns the paths that a job's declared outputs reserve, relative to the dataset's root. */
export function reservedPaths(outputs: readonly string[]): string[] {
  return outermostPaths(outputs);
}
