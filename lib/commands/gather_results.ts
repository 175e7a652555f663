import { collectOutputs, type FilesByRepository } from "../dataset/collect.ts";
import { cloneId, type Dataset } from "../dataset/dataset.ts";
import { expandPathOrKeep, Listing } from "../dataset/globs.ts";
import { jobKeyOf, type RecordedJob } from "../dataset/history.ts";
import {
  coveredBy,
  type DeclaredPlaces,
  namesTask,
  placesOf,
  reservedPath,
  submittedTasks,
} from "../dataset/task_paths.ts";
import { absentLinks } from "../git/annexed.ts";
import { entriesInCommit, withoutSparse } from "../git/staged.ts";
import { isAbsence, isDenial, isFileSystemError, isThere, PERMISSION_DENIED } from "../files.ts";
import { isWithin, joinPath, pathAndAbove } from "../paths.ts";
import type { JobAccounting } from "../slurm/account.ts";
import { IndexSet } from "../slurm/array.ts";
import type { JobReport } from "../slurm/report.ts";
import { copyResults } from "./alt_dir.ts";
import { type ArrayPart, statesOf, union } from "./array_parts.ts";
import type { ChangedFile } from "./changed_files.ts";
import { writeEnvironment } from "./environment_file.ts";
import { isInside, jobFiles } from "./job_files.ts";
import type { SeenFiles } from "./log_names.ts";
import { putLink } from "./prepare_outputs.ts";

/** A job that is over and gets its finish commit. */
export interface FinishingJob {
  readonly job: RecordedJob;
  readonly report: JobReport;
  /** Whether the commit holds the job's files; a closed job's does not. */
  readonly withFiles: boolean;
  /** Outputs that were declared only now, relative to the root. */
  readonly addedOutputs: readonly string[];
  /** What other open jobs have reserved among these. */
  readonly heldByOthers: readonly string[];
  readonly accounting: JobAccounting | undefined;
  /** Whether files of a job that ran elsewhere are compared after they were copied back. */
  readonly verifyCopies: boolean;
  /** The tasks of an array that the commit is about, where it is finished in parts. */
  readonly part?: ArrayPart | undefined;
  /** Script and inputs that are not what they were at the submission. */
  readonly changed: readonly ChangedFile[];
}

/** A declared output or log that a job has not made. */
export interface MissingFile {
  readonly path: string;
  readonly isLog: boolean;
}

/** What the reader should know of a finished job's files; paths are relative to the root. */
export interface FinishNotes {
  /** Declared outputs and logs that are not there. */
  readonly missing: readonly MissingFile[];
  /** Outputs that git ignores. */
  readonly ignored: readonly string[];
  /** Outputs of the job that the dataset had and that are gone. */
  readonly deleted: readonly string[];
  /** Script and inputs that are not what they were at the submission. */
  readonly changed: readonly ChangedFile[];
  /** What git cannot hold or must not touch, with the reason. */
  readonly impossible: readonly { readonly path: string; readonly reason: string }[];
  /**
   * Files that could not be added or copied, or the directory outside the dataset that they were to be
   * copied from, with the reason: there are none of a job that is committed.
   */
  readonly failed: readonly { readonly path: string; readonly reason: string }[];
}

/** The results of one job as they are in the work tree. */
export interface GatheredResults extends FinishingJob {
  readonly key: string;
  /** All declared outputs, those declared now too. */
  readonly outputs: readonly string[];
  /** Those of them, task by task, that the commit is about. */
  readonly declared: DeclaredPlaces;
  /** The log files that are there, and what Slurm knew of the job. */
  readonly runOutputs: readonly string[];
  /** Files to commit, by repository and relative to it. */
  readonly files: FilesByRepository;
  readonly missing: FinishNotes["missing"];
  readonly impossible: FinishNotes["impossible"];
  /** What may not be looked at, or written. */
  readonly failed: FinishNotes["failed"];
}

/**
 * Finds the files of one job in the work tree, and writes down beside its logs what Slurm knew of
 * it. What `isForeign` tells of is another job's, wherever it lies. `seen` is for all jobs that are
 * gathered together.
 */
export async function gatherResults(
  dataset: Dataset,
  finishing: FinishingJob,
  isForeign: (path: string) => boolean,
  seen: SeenFiles,
): Promise<GatheredResults> {
  const { job, report, accounting, withFiles } = finishing;
  const outputs = [...job.record.outputs, ...finishing.addedOutputs];
  const declared = declaredPlaces(finishing, outputs);
  const common = { ...finishing, key: jobKeyOf(job), outputs, declared };
  if (!withFiles) {
    const none = { files: new Map(), missing: [], impossible: [], failed: [] };
    return { ...common, ...none, runOutputs: [] };
  }
  const { root } = dataset;
  const { logs, environment } = jobFiles(root, job, finishing.part && declared, seen);
  const inside = placesOf(declared).filter(isInside);
  const altDir = ownAltDir(dataset, job);
  const failed: { path: string; reason: string }[] = [];
  const unless = async <Result>(
    isExpected: (error: unknown) => error is Error,
    path: string,
    action: () => Result | Promise<Result>,
  ): Promise<Result | undefined> => {
    try {
      return await action();
    } catch (error) {
      if (!isExpected(error)) throw error;
      failed.push({ path, reason: error.message });
      return undefined;
    }
  };
  const notCopied = altDir === undefined ? undefined : await unless(
    (error) => isDenial(error) || isFileSystemError(error),
    altDir,
    async () => {
      if (isDirectory(altDir)) {
        const options = { verify: finishing.verifyCopies, isForeign };
        return await copyResults(dataset, altDir, [...inside, ...logs], options);
      }
      // Results that are merely not mounted here must not be taken for none.
      failed.push({ path: altDir, reason: NOT_HERE });
      return undefined;
    },
  );
  // What Slurm knew of an array goes with the last of its parts.
  const environments = declared.withShared ? [environment] : [];
  if (declared.withShared) {
    await unless(isDenial, environment, () => {
      writeEnvironment(root, environment, dataset.store.base, job, report, accounting);
    });
  }
  const listing = new Listing(root);
  const expanded = inside.flatMap((output) => expandPathOrKeep(root, output, listing));
  const collected = await collectOutputs(
    root,
    [...new Set([...expanded, ...logs.filter(isInside), ...environments])],
    isForeign,
  );
  // A job that turned out to be no array has nothing in place of `%a`.
  const fieldless = report.tasks === undefined ? outputs.filter(namesTask) : [];
  // Nobody expects an output of a task that never started.
  const idle = job.ran?.idle ?? new IndexSet();
  const isOfIdle = coveredBy({ ...declared, tasks: idle, withShared: false });
  const notThere = new Set(collected.missing);
  const allLogs = new Set(logs);
  const allExpanded = new Set(expanded);
  return {
    ...common,
    runOutputs: [...logs.filter((path) => !notThere.has(path)), ...environments],
    files: deduplicated(collected.files),
    missing: [...collected.missing.filter((path) => !isOfIdle(path)), ...fieldless]
      .map((path) => ({ path, isLog: !allExpanded.has(path) && allLogs.has(path) })),
    impossible: [
      ...outputs.filter((path) => !isInside(path))
        .map((path) => ({ path, reason: "it is outside the dataset" })),
      ...collected.impossible,
      ...(notCopied?.kept ?? []).map((path) => ({
        path,
        reason: "the file in the dataset is newer, and was committed instead",
      })),
    ],
    failed: [
      ...new Map(
        [
          ...collected.failed,
          ...[...listing.denied].map((path) => ({ path, reason: PERMISSION_DENIED })),
          ...failed,
          ...(notCopied?.failed ?? []),
        ].map((one) => [one.path, one]),
      ).values(),
    ],
  };
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (isAbsence(error)) return false;
    throw error;
  }
}

const NOT_HERE =
  "the job ran in this directory, which is not here: finish the job where it is, or " +
  "make the directory anew (mkdir) if it is gone for good";

/** Returns the outputs that the commit is about: all of them, or those of a part of an array. */
function declaredPlaces(
  { job, report, part }: FinishingJob,
  outputs: readonly string[],
): DeclaredPlaces {
  return {
    jobId: job.jobId,
    outputs,
    tasks: part?.tasks.without(part.closed) ?? submittedTasks(job) ?? union(statesOf(report)),
    withShared: part?.isLast ?? true,
  };
}

/** Returns where a job ran; a record from elsewhere must not have us look wherever it likes. */
export function ownAltDir(
  dataset: Dataset,
  { record: { alt_dir, datalad_slurm: origin } }: RecordedJob,
): string | undefined {
  const isOwn = origin?.clone !== undefined && origin.clone === cloneId(dataset);
  return isOwn && alt_dir ? alt_dir : undefined;
}

/**
 * Returns, by job key, what HEAD of each repository has of the jobs' outputs and the work tree has
 * not. HEAD is asked once for all jobs. A link into the annex without its content is put back: no
 * job has seen that file, since it was removed for the jobs to be able to write there.
 */
export async function deletedPaths(
  { root }: Dataset,
  gathered: readonly GatheredResults[],
): Promise<Map<string, FilesByRepository>> {
  const declaring = outputsByPath(gathered.filter(({ withFiles }) => withFiles));
  const deleted = new Map<string, FilesByRepository>();
  for (const repository of new Set([".", ...gathered.flatMap(({ files }) => [...files.keys()])])) {
    const base = repository === "." ? root : `${root}/${repository}`;
    const prefixes = [...declaring.keys()]
      .filter((prefix) => isWithin(prefix, repository) || isWithin(repository, prefix))
      .map((prefix) => isWithin(repository, prefix) ? "." : relative(prefix, repository));
    if (prefixes.length === 0) continue;
    const wanted = prefixes.includes(".") ? [] : prefixes;
    const entries = await entriesInCommit(base, "HEAD", wanted);
    const gone = await withoutSparse(
      base,
      entries.filter(({ path }) => !isThere(`${base}/${path}`)),
      wanted,
    );
    const absent = await absentLinks(base, gone);
    for (const { path } of gone) {
      const whole = joinPath(repository, path);
      const [owner] = [...pathAndAbove(whole)].flatMap((above) => declaring.get(above) ?? [])
        .filter(({ covers }) => covers(whole)).sort((a, b) => a.order - b.order);
      if (owner === undefined) continue;
      const target = absent.get(path);
      if (target !== undefined && putLink(base, path, target)) continue;
      const ofJob = deleted.get(owner.key) ?? new Map<string, string[]>();
      deleted.set(owner.key, ofJob);
      const paths = ofJob.get(repository);
      if (paths === undefined) ofJob.set(repository, [path]);
      else paths.push(path);
    }
  }
  return deleted;
}

/** Outputs of one job that reserve the same path. */
interface DeclaringJob {
  readonly key: string;
  /** Its place among the jobs. */
  readonly order: number;
  readonly covers: (path: string) => boolean;
}

/** Returns the outputs that the jobs' commits are about by the paths that they reserve. */
function outputsByPath(gathered: readonly GatheredResults[]): Map<string, DeclaringJob[]> {
  const byPath = new Map<string, DeclaringJob[]>();
  for (const [order, { key, declared, heldByOthers }] of gathered.entries()) {
    const meant = declared.outputs.filter((output) =>
      isInside(output) && (declared.withShared || namesTask(output))
    );
    for (const [path, outputs] of Map.groupBy(meant, reservedPath)) {
      const isDeclared = coveredBy({ ...declared, outputs });
      const covers = (place: string) =>
        isDeclared(place) && !heldByOthers.some((held) => isWithin(place, held));
      const one = { key, order, covers };
      const others = byPath.get(path);
      if (others === undefined) byPath.set(path, [one]);
      else others.push(one);
    }
  }
  return byPath;
}

function relative(path: string, directory: string): string {
  return directory === "." ? path : path.slice(directory.length + 1);
}

function deduplicated(files: FilesByRepository): FilesByRepository {
  return new Map([...files].map(([repository, paths]) => [repository, [...new Set(paths)]]));
}
