import { IndexSet, parseArraySpec } from "../slurm/array.ts";
import { covers, expandPathOrKeep, fixedPrefix } from "./globs.ts";
import type { RecordedJob } from "./history.ts";

/**
 * Declared outputs of arrays, with Slurm's own fields for log files: `%a` is the index of a task,
 * `%A` the job id, `%3a` an index of three digits at least, and `%%` a percent sign. Such a path
 * may be a glob as well. Nothing else that starts with a percent sign has a meaning.
 */
const FIELD = /%(?:%|(\d*)([aA]))/g;

/** Slurm pads numbers to ten places at most. */
const MAX_WIDTH = 10;

/** Whether a declared output names a task's own file or directory. */
export function namesTask(path: string): boolean {
  return [...path.matchAll(FIELD)].some(([, , letter]) => letter === "a");
}

/** Returns a declared output of one task, or of the whole job; may still be a glob. */
export function fillFields(path: string, jobId: string, task?: number): string {
  return path.replace(FIELD, (field, width: string | undefined, letter: string | undefined) => {
    if (letter === undefined) return "%";
    const value = letter === "A" ? jobId : task?.toString();
    return value?.padStart(Math.min(Number(width), MAX_WIDTH), "0") ?? field;
  });
}

/** Returns the longest part of a declared output, in whole names, before any field or wildcard. */
export function reservedPath(path: string): string {
  const parts = fixedPrefix(path).split("/");
  const first = parts.findIndex((part) =>
    [...part.matchAll(FIELD)].some(([, , letter]) => letter !== undefined)
  );
  const fixed = first < 0 ? parts : parts.slice(0, first);
  return fixed.join("/").replaceAll("%%", "%") || ".";
}

/** Which of a job's declared outputs are meant. */
export interface DeclaredPlaces {
  readonly jobId: string;
  readonly outputs: readonly string[];
  /** The tasks whose own outputs are meant. */
  readonly tasks: IndexSet;
  /** Whether the outputs that name no task are meant as well. */
  readonly withShared: boolean;
}

/** Returns the declared outputs that are meant, each task's for itself; globs stand as they are. */
export function placesOf({ jobId, outputs, tasks, withShared }: DeclaredPlaces): string[] {
  return outputs.flatMap((output) =>
    namesTask(output)
      ? [...tasks].map((task) => fillFields(output, jobId, task))
      : withShared
      ? [fillFields(output, jobId)]
      : []
  );
}

/** Returns a function that says whether a path is one of the outputs that are meant, or below one. */
export function coveredBy(
  { jobId, outputs, tasks, withShared }: DeclaredPlaces,
): (path: string) => boolean {
  const own = outputs.filter(namesTask);
  const shared = outputs.filter((output) => withShared && !namesTask(output))
    .map((output) => fillFields(output, jobId));
  return (path) =>
    shared.some((output) => covers(output, path)) ||
    own.length > 0 && numbersIn(path).some((task) =>
        tasks.has(task) && own.some((output) => covers(fillFields(output, jobId, task), path))
      );
}

/** Returns the numbers in a path that may be the index of its task: any digits in a row. */
function numbersIn(path: string): number[] {
  return [...path.matchAll(/\d+/g)].flatMap(([digits]) =>
    [...digits].flatMap((_, from) =>
      [...digits.slice(from)].map((_, length) => Number(digits.slice(from, from + length + 1)))
    )
  );
}

/**
 * Returns what of the outputs may be there already when a job is submitted: those of the tasks that
 * it will have, or of any task where that is not known. What carries the new job's id is new.
 */
export function placesBefore(outputs: readonly string[], tasks: IndexSet | undefined): string[] {
  return outputs.flatMap((output) => {
    const marked = fillFields(output, "\0");
    if (marked.includes("\0")) return [];
    if (!namesTask(output)) return [marked];
    return tasks === undefined
      ? [output.replace(FIELD, (_, _width, letter) => letter === undefined ? "%" : "[0-9]*")]
      : [...tasks].map((task) => fillFields(output, "", task));
  });
}

/** Returns a declared output as the command's `{outputs}` shows it. */
export function expandShown(root: string, output: string): string[] {
  if (namesTask(output)) return [output];
  return expandPathOrKeep(root, output.replaceAll("%%", "%"));
}

/** Returns all tasks that an array was submitted with; undefined where that is not known. */
export function submittedTasks({ record }: RecordedJob): IndexSet | undefined {
  const spec = parseArraySpec(record.datalad_slurm?.job?.array ?? "");
  return spec === undefined ? undefined : new IndexSet(spec.ranges);
}
