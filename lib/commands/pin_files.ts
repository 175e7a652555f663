import { expandInput, innermostRepository } from "../dataset/paths.ts";
import { firstOf } from "../errors.ts";
import { isDenial } from "../files.ts";
import { type Difference, hashFiles, takePins } from "../git/pins.ts";
import { absolutePath, isWithin, joinPath, pathBelow } from "../paths.ts";
import type { ToolPart } from "../record/schema.ts";
import { readSbatchCall } from "../slurm/sbatch_call.ts";
import type { ShownJob } from "../slurm/show_job.ts";
import { readPins, type SubmissionFiles } from "../store/journal.ts";
import type { SubmissionRequest } from "./submission_request.ts";
import { type JobPlaces, toldPath } from "./submitted_job.ts";

/**
 * What a job was submitted with is pinned: the batch script and the inputs, as they are in the work
 * tree beside the submission. The schedule commit's parent has what is committed; the record says
 * where script and inputs differ from it.
 */
export interface FilePins {
  /** What is there, by path relative to the root; see {@link takePins}. */
  readonly ids: Readonly<Record<string, string>>;
  readonly differs: Readonly<Record<string, Difference>>;
}

export const NO_PINS: FilePins = { ids: {}, differs: {} };

/** Of a glob that matches more, only those that differ from the commit are recorded. */
const MOST_MATCHES = 1000;

/** So many differences are recorded one by one. */
const MOST_DIFFERENCES = 1000;

/** Returns what a job's inputs stand for in the work tree, and the files that its command names. */
export function pathsToPin(
  root: string,
  record: { readonly inputs: readonly string[]; readonly extra_inputs: readonly string[] },
  scripts: readonly string[],
): string[] {
  const inputs = [...record.inputs, ...record.extra_inputs];
  return [...new Set([...scripts, ...inputs.flatMap((path) => expandInput(root, path))])];
}

/** Pins paths, files or directories, relative to the root; subdatasets are compared with their HEAD. */
export async function pinFiles(root: string, paths: readonly string[]): Promise<FilePins> {
  const known = new Set(paths.filter((path) => isCurrent(root, path)));
  const groups = Map.groupBy(
    paths.filter((path) => !known.has(path)),
    (path) => innermostRepository(root, path),
  );
  const ids: Record<string, string> = {};
  const differs: Record<string, Difference> = {};
  for (const path of known) {
    const pin = files.get(`${root}/${path}`);
    if (pin === undefined) continue;
    ids[path] = pin.id;
    if (pin.difference !== undefined) differs[path] = pin.difference;
  }
  for (const [repository, group] of groups) {
    const base = repository === "." ? root : `${root}/${repository}`;
    const stamps = new Map(group.map((path) => [path, stampOf(`${root}/${path}`)]));
    const pins = await takePins(
      base,
      group.map((path) => pathBelow(base, `${root}/${path}`) ?? path),
    );
    for (const [path, id] of pins.ids) {
      const whole = joinPath(repository, path);
      ids[whole] = id;
      const stamp = stamps.get(whole);
      if (stamp !== undefined) {
        files.set(`${root}/${whole}`, { stamp, id, difference: pins.differs.get(path) });
      }
    }
    for (const [path, difference] of pins.differs) differs[joinPath(repository, path)] = difference;
  }
  return { ids, differs };
}

/** So many files are named that differ from what is committed. */
const MOST_NAMED = 5;

/**
 * Says which of script and inputs only this clone has as the jobs get them, and which of the paths
 * that were pinned could not be read: the job may be able to. An output that the command names is no
 * input: it may be there from a run before.
 */
export function pinWarnings(
  root: string,
  requests: readonly Pick<SubmissionRequest, "record">[],
  paths: readonly string[],
  { ids, differs }: FilePins,
): string[] {
  const outputs = requests.flatMap(({ record }) => record.outputs);
  const isInput = (path: string) => !outputs.some((output) => isWithin(path, output));
  const words = { new: "not committed", modified: "changed since", deleted: "deleted" };
  const different = Object.entries(differs).filter(([path]) => isInput(path))
    .map(([path, how]) => `${JSON.stringify(path)} (${words[how]})`);
  const closed = [...new Set([...paths, ...Object.keys(differs)])].filter((path) =>
    ids[path] === undefined && isInput(path) && isClosed(`${root}/${path}`)
  ).map((path) => JSON.stringify(path));
  return [
    ...different.length === 0 ? [] : [
      "Not as it is committed, so that no clone can run the job again: " +
      firstOf(different, MOST_NAMED),
    ],
    ...closed.length === 0 ? [] : [
      `Cannot be read, so that the record does not say what it was: ${firstOf(closed, MOST_NAMED)}`,
    ],
  ];
}

/** Whether a path may not be looked at, or is a file that may not be read. */
function isClosed(path: string): boolean {
  try {
    if (Deno.lstatSync(path).isFile) Deno.openSync(path).close();
    return false;
  } catch (error) {
    return isDenial(error);
  }
}

/** The files of a batch of submissions are often the same: each is looked at once. */
const files = new Map<string, { stamp: string; id: string; difference: Difference | undefined }>();

function isCurrent(root: string, path: string): boolean {
  const known = files.get(`${root}/${path}`);
  return known !== undefined && known.stamp === stampOf(`${root}/${path}`);
}

/** Returns what tells one version of a file from the next; undefined for what is no file. */
export function stampOf(path: string): string | undefined {
  try {
    const { isFile, ino, size, mtime, ctime } = Deno.lstatSync(path);
    return isFile ? `${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}` : undefined;
  } catch {
    return undefined;
  }
}

/** What is known of the script that a job was submitted with. */
export type SubmittedScript = Pick<ShownJob, "command" | "submitTime">;

/**
 * Returns the script that a command names, where it is one plain call of sbatch: for a slurmctld that
 * does not answer.
 */
export function scriptOfCommand(command: string, directory: string): SubmittedScript | undefined {
  const read = readSbatchCall(command);
  const script = "call" in read ? read.call.script : undefined;
  return script === undefined
    ? undefined
    : { command: absolutePath(script, directory), submitTime: undefined };
}

/** Returns what a submission that was cut short has kept of its pins. */
export function keptPins(files: SubmissionFiles): FilePins {
  return readPins(files) as FilePins | undefined ?? NO_PINS;
}

/**
 * Returns the pins of one job for its record. The script is the one that the job was submitted with;
 * where neither slurmctld nor the command tells, or the job has none, none is recorded.
 */
export async function pinsForRecord(
  { ids, differs }: FilePins,
  inputs: readonly string[],
  job: SubmittedScript | undefined,
  places: JobPlaces,
): Promise<Pick<ToolPart, "script" | "inputs" | "differs">> {
  const { root } = places;
  const script = job === undefined ? undefined : await pinScript({ ids, differs }, job, places);
  const expanded = new Set<string>();
  for (const input of inputs) {
    const found = expandInput(root, input);
    const few = found.length <= MOST_MATCHES;
    for (const path of found) if (few || differs[path] !== undefined) expanded.add(path);
  }
  const directories = [...expanded].filter((path) => !stampOf(`${root}/${path}`));
  const isInput = (path: string) =>
    expanded.has(path) || directories.some((directory) => isWithin(path, directory));
  const pinned = Object.entries(ids).filter(([path]) =>
    expanded.has(path) || differs[path] !== undefined && isInput(path)
  );
  const different = Object.entries(differs).filter(([path]) => isInput(path))
    .slice(0, MOST_DIFFERENCES);
  return {
    ...(script === undefined ? {} : { script }),
    ...(pinned.length === 0 ? {} : { inputs: Object.fromEntries(pinned) }),
    ...(different.length === 0 ? {} : { differs: Object.fromEntries(different) }),
  };
}

async function pinScript(
  pins: FilePins,
  { command, submitTime }: SubmittedScript,
  places: JobPlaces,
): Promise<ToolPart["script"]> {
  const path = command === undefined ? undefined : scriptIn(command);
  if (path === undefined) return undefined;
  const { root, altDir } = places;
  const inside = pathBelow(root, path) ??
    (altDir === undefined ? undefined : pathBelow(altDir, path));
  if (inside === undefined) {
    const object = (await hashFiles(root, [path])).get(path);
    return object === undefined
      ? undefined
      : { path: toldPath(path, places), object, differs: "outside" };
  }
  // The command itself may have written it a moment before it submitted it.
  const isPinned = pins.ids[inside] !== undefined &&
    (isCurrent(root, inside) || isYounger(`${root}/${inside}`, submitTime));
  const { ids, differs } = isPinned ? pins : await pinFiles(root, [inside]);
  const object = ids[inside];
  if (object === undefined) return undefined;
  const difference = differs[inside];
  return { path: inside, object, ...(difference === undefined ? {} : { differs: difference }) };
}

/** Returns whether a file was written, or removed, since that time. */
function isYounger(path: string, seconds: number | undefined): boolean {
  try {
    const { mtime } = Deno.lstatSync(path);
    return (mtime?.getTime() ?? 0) > ((seconds ?? 0) + 1) * 1000;
  } catch {
    return true;
  }
}

/** Returns the script in a command line of slurmctld's, which has its arguments behind a space. */
function scriptIn(command: string): string | undefined {
  for (let end = command.length; end > 0; end = command.lastIndexOf(" ", end - 1)) {
    const path = command.slice(0, end);
    if (path.startsWith("/") && isFile(path)) return path;
  }
  return undefined;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
