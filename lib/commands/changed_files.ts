import type { Dataset } from "../dataset/dataset.ts";
import { covers } from "../dataset/globs.ts";
import { jobKeyOf, type RecordedJob } from "../dataset/history.ts";
import { isThere } from "../files.ts";
import { changedInTree, hashFiles } from "../git/pins.ts";
import { isWithin, joinPath } from "../paths.ts";
import { type FilePins, pinFiles } from "./pin_files.ts";

/** Something that a job was submitted with and that is not the same any more. */
export interface ChangedFile {
  /** Relative to the root. */
  readonly path: string;
  /** The batch script: Slurm runs the copy that it took at the submission. */
  readonly isScript: boolean;
  /** Whether nothing of its path is there any more. */
  readonly isGone: boolean;
  /** When it was changed, in seconds since 1970, where the file's own times tell that. */
  readonly at?: number;
}

/** A job whose script and inputs are looked at. */
export interface CheckedJob {
  readonly job: RecordedJob;
  /** In seconds since 1970: what was changed after the job's end is of no matter. */
  readonly end?: number | undefined;
}

/** So many directories whose tree in HEAD has changed are compared file by file. */
const MOST_TREES = 20;

/**
 * Returns, by job key, what of the pinned scripts and inputs of jobs is not the same any more, by a
 * comparison that reads no large file. Files that are added to a directory, and what the job itself
 * declares as output, are no change.
 */
export async function changedFiles(
  { root }: Dataset,
  jobs: readonly CheckedJob[],
): Promise<Map<string, ChangedFile[]>> {
  const pinned = jobs.map((checked) => ({ ...checked, pins: pinsOf(checked.job) }));
  const paths = [...new Set(pinned.flatMap(({ pins }) => [...pins.keys()]))];
  if (paths.length === 0) return new Map();
  const now = await pinFiles(root, paths);
  const raw = await rawHashes(root, pinned.flatMap(({ pins }) => [...pins]), now);
  const trees = new Map<string, Promise<string[]>>();
  const result = new Map<string, ChangedFile[]>();
  for (const { job, end, pins } of pinned) {
    const changed = new Set<string>();
    for (const [path, id] of pins) {
      const current = now.ids[path];
      if (isDirectory(root, path) && isObjectId(id)) {
        for (const inside of await changedBelow(root, path, id, now, trees)) {
          if (pins.get(inside) === undefined) changed.add(inside);
        }
      } else if (current === undefined ? !isThere(`${root}/${path}`) : current !== id) {
        if (raw.get(path) !== id && sizeAndTime(root, path) !== id) changed.add(path);
      }
    }
    const script = job.record.datalad_slurm?.script?.path;
    const outputs = [...job.record.outputs, ...job.record.slurm_run_outputs ?? []];
    const submitted = Date.parse(job.record.datalad_slurm?.submitted_at ?? "");
    const told = [...changed].filter((path) => !outputs.some((output) => covers(output, path)))
      .map((path): ChangedFile => ({
        path,
        isScript: path === script,
        ...changeTime(root, path, submitted),
      }))
      .filter(({ at }) => at === undefined || end === undefined || at <= end);
    if (told.length > 0) result.set(jobKeyOf(job), told);
  }
  return result;
}

/** Returns what the record of a job pins inside the dataset, by path. */
function pinsOf({ record: { datalad_slurm: part } }: RecordedJob): Map<string, string> {
  const pins = new Map(Object.entries(part?.inputs ?? {}));
  const script = part?.script;
  if (script !== undefined && script.differs !== "outside") pins.set(script.path, script.object);
  // A record may come from elsewhere: a path that leaves the dataset is not looked at.
  for (const path of pins.keys()) {
    if (path.startsWith("/") || path.split("/").includes("..")) pins.delete(path);
  }
  return pins;
}

/** Hashes what git or an annex has got since it was pinned by its content. */
async function rawHashes(
  root: string,
  pins: readonly (readonly [string, string])[],
  now: FilePins,
): Promise<Map<string, string>> {
  const paths = pins.filter(([path, id]) => {
    const current = now.ids[path];
    return isObjectId(id) && current !== undefined && !isObjectId(current) && isSmall(root, path);
  });
  return await hashFiles(root, [...new Set(paths.map(([path]) => path))]);
}

/** Returns the files below a directory that are not what they were in a tree of it. */
async function changedBelow(
  root: string,
  directory: string,
  tree: string,
  now: FilePins,
  trees: Map<string, Promise<string[]>>,
): Promise<string[]> {
  const changed = Object.entries(now.differs)
    .filter(([path, how]) => how !== "new" && isWithin(path, directory)).map(([path]) => path);
  const current = now.ids[directory];
  if (current === undefined || current === tree) return changed;
  const key = `${tree} ${current}`;
  if (!trees.has(key) && trees.size < MOST_TREES) {
    trees.set(key, changedInTree(root, tree, current));
  }
  const inTree = await trees.get(key) ?? [];
  return [...changed, ...inTree.map((path) => joinPath(directory, path))];
}

function isObjectId(id: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(id);
}

function isDirectory(root: string, path: string): boolean {
  try {
    return Deno.lstatSync(`${root}/${path}`).isDirectory;
  } catch {
    return false;
  }
}

/** Behind a link into the annex is the content that was there before. */
function sizeAndTime(root: string, path: string): string | undefined {
  try {
    const { size, mtime } = Deno.statSync(`${root}/${path}`);
    return `s${size}-m${Math.floor((mtime?.getTime() ?? 0) / 1000)}`;
  } catch {
    return undefined;
  }
}

const SMALL = 1 << 20;

function isSmall(root: string, path: string): boolean {
  try {
    const { isFile, size } = Deno.statSync(`${root}/${path}`);
    return isFile && size <= SMALL;
  } catch {
    return false;
  }
}

/**
 * Tells when something that has changed since a submission was changed. `cp -p`, `rsync -a` and `tar`
 * give a file the time of another one: where that is before the submission, the time of the inode
 * tells when the file was put there. Of a link it does not, since `git annex add`, maybe of much later,
 * makes the link and gives it the time of the file (10.20230126).
 */
function changeTime(
  root: string,
  path: string,
  submitted: number,
): Pick<ChangedFile, "isGone" | "at"> {
  try {
    const { isSymlink, mtime, ctime } = Deno.lstatSync(`${root}/${path}`);
    const isOlder = mtime !== null && mtime.getTime() < submitted;
    const time = !isOlder ? mtime : isSymlink ? null : ctime;
    return { isGone: false, ...(time === null ? {} : { at: Math.floor(time.getTime() / 1000) }) };
  } catch {
    return { isGone: true };
  }
}
