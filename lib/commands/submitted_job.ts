import { realDirectory } from "../dataset/paths.ts";
import { absolutePath, pathBelow } from "../paths.ts";
import type { SubmittedJob } from "../record/schema.ts";
import type { ShownJob } from "../slurm/show_job.ts";

/** Directories that a job's paths are told from. */
export interface JobPlaces {
  readonly root: string;
  /** The absolute directory outside the dataset that the job runs in. */
  readonly altDir?: string | undefined;
}

/**
 * Returns what Slurm knows of a job right after its submission, as it goes into the record. Paths
 * inside the dataset are relative to its root; others are made {@link impersonal}.
 */
export function describeSubmission(job: ShownJob, places: JobPlaces): SubmittedJob {
  const told = (path: string | undefined) =>
    path === undefined ? undefined : toldPath(path, places);
  const known = {
    name: job.name,
    work_dir: told(job.workDir && resolved(job.workDir)),
    stdout: told(job.stdout),
    stderr: told(job.stderr),
    array: job.array,
    partition: job.partition,
    qos: job.qos,
    submit_time: job.submitTime === undefined
      ? undefined
      : new Date(job.submitTime * 1000).toISOString(),
    dependency: job.dependency,
    time_limit_seconds: job.timeLimitSeconds,
    requested: job.requested,
    components: job.components,
  };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/**
 * Returns a path for the record: relative to the root inside the dataset, below the directory where the
 * job runs outside of it (`finish` looks for logs there), impersonal elsewhere. Slurm tells it as sbatch
 * was told of it, with `..` and symbolic links (`--chdir=..`).
 */
export function toldPath(path: string, { root, altDir }: JobPlaces): string {
  const place = realPlace(path);
  const inside = pathBelow(root, place);
  if (inside !== undefined) return inside;
  const below = altDir === undefined ? undefined : pathBelow(resolved(altDir), place);
  return below === undefined ? impersonal(path) : absolutePath(below, altDir ?? "");
}

/** Resolves what a path lies in; the last part may be a link, or a pattern of Slurm's. */
function realPlace(path: string): string {
  if (!path.startsWith("/")) return path;
  const name = path.slice(path.lastIndexOf("/") + 1);
  return ["", ".", ".."].includes(name)
    ? resolved(path)
    : absolutePath(name, resolved(path.slice(0, -name.length - 1) || "/"));
}

/** A job that is submitted is recorded, wherever its directory may be: what cannot be resolved stays. */
function resolved(directory: string): string {
  try {
    return realDirectory(directory, directory);
  } catch {
    return directory;
  }
}

/**
 * Returns an absolute path without the user's name: the home directory becomes `~`, a directory
 * named like the user `%u`, which is Slurm's word for it.
 */
export function impersonal(path: string): string {
  const home = Deno.env.get("HOME");
  const user = Deno.env.get("USER") ?? Deno.env.get("LOGNAME");
  const below = home?.startsWith("/") ? pathBelow(absolutePath(home, "/"), path) : undefined;
  if (below !== undefined) return below === "." ? "~" : `~/${below}`;
  return path.split("/").map((part) => part !== "" && part === user ? "%u" : part).join("/");
}

/** Returns a command line for the record, with the root as `{dspath}` and the home directory as `~`. */
export function toldCommand(command: string, root: string): string {
  const home = Deno.env.get("HOME") ?? "";
  const told = command.replaceAll(root, "{dspath}");
  return /^\/./.test(home) ? told.replaceAll(home, "~") : told;
}
