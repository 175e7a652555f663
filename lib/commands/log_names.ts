import type { RecordedJob } from "../dataset/history.ts";
import { submittedTasks } from "../dataset/task_paths.ts";
import { joinPath, parentPath } from "../paths.ts";
import { expandPattern, type PatternFields, patternGlob } from "../slurm/patterns.ts";

/** A log file of a job. */
export interface Log {
  readonly path: string;
  /** Of an array the task that alone writes to it, if there is one. */
  readonly task?: number;
  /** Whether nobody who writes to it has started: then there is none. */
  readonly isIdle: boolean;
}

/**
 * Returns the log files that a pattern of Slurm's stands for, of an array those of its tasks. What
 * slurmctld does not show in the pattern (the ids of tasks, before 25.11; the width of an index, 24.11;
 * the node) is taken from the runs, where the job has them, and from the files that are there.
 */
export function logsOf(files: Files, pattern: string, job: RecordedJob): Log[] {
  const finder = new NameFinder(files, pattern, job);
  const tasks: Iterable<number | null> = submittedTasks(job) ?? [null];
  const writers = new Map<string, (number | null)[]>();
  for (const task of tasks) {
    for (const path of finder.find(task)) {
      const others = writers.get(path);
      if (others === undefined) writers.set(path, [task]);
      else others.push(task);
    }
  }
  const isIdle = (task: number | null) => task !== null && job.ran?.idle.has(task) === true;
  return [...writers].map(([path, all]) => {
    const [task, ...others] = all;
    const common = { path, isIdle: all.every(isIdle) };
    return typeof task !== "number" || others.length > 0 ? common : { ...common, task };
  });
}

/**
 * Returns whether the names of a job's logs depend on the node that it ran on, or on the ids that its
 * tasks had: slurmctld shows the array's id for that of each task (`%j`) as for the array's (`%A`).
 */
export function dependsOnRuns(files: Files, pattern: string, job: RecordedJob): boolean {
  if (hasNode(pattern)) return true;
  if (submittedTasks(job) === undefined) return false;
  if (/%\d*[jJ]/.test(pattern)) return true;
  if (!/%\d*a/.test(pattern)) return numbersIn(pattern).includes(job.jobId);
  return logsOf(files, pattern, job).some(({ path }) => !files.has(path));
}

function hasNode(pattern: string): boolean {
  return /%\d*N/.test(pattern);
}

/** `%b` has a meaning to the newer one. */
const VERSIONS = ["22.05", "24.05"];

/** What Slurm pads the index of a task to at most, in digits. */
const WIDEST = 10;

/** Finds the names of the logs of one pattern. */
class NameFinder {
  readonly #files: Files;
  readonly #pattern: string;
  readonly #job: RecordedJob;
  readonly #hasNode: boolean;
  readonly #versions: readonly string[];
  /** The widths of an index to try, the likeliest first. */
  #widths: readonly number[];

  constructor(files: Files, pattern: string, job: RecordedJob) {
    this.#files = files;
    this.#pattern = pattern;
    this.#job = job;
    this.#hasNode = hasNode(pattern);
    this.#versions = /%\d*b/.test(pattern) ? VERSIONS : VERSIONS.slice(0, 1);
    const all = Array.from({ length: WIDEST - 1 }, (_, at) => at + 2);
    this.#widths = pattern.includes("%a") ? all : [];
  }

  /**
   * Returns the log of one task: of the names that it can have the one that is there, else the
   * likeliest. Where the node is not told, or has another name than its host, there may be several.
   */
  find(task: number | null): string[] {
    const { jobId: arrayId, ran, record } = this.#job;
    const { name } = record.datalad_slurm?.job ?? {};
    const run = ran?.runs.get(task);
    const own = task === null ? arrayId : run?.jobId;
    const fields: PatternFields = {
      ...(own === undefined ? {} : { jobId: own }),
      arrayJobId: arrayId,
      arrayTaskId: task,
      ...(name === undefined ? {} : { jobName: name }),
    };
    const known = run?.node === undefined ? fields : { ...fields, node: run.node };
    const names = this.#expand(this.#pattern, known);
    const likely = names[0] ?? this.#pattern;
    if (ran === undefined && !this.#hasNode) return [likely];
    const there = this.#there(names, own) ??
      (run === undefined ? undefined : this.#padded(known, own));
    if (there !== undefined) return [there];
    const matching = this.#hasNode ? this.#matching(fields, own) : [];
    return matching.length > 0 ? matching : [likely];
  }

  #expand(pattern: string, fields: PatternFields): string[] {
    return this.#versions.flatMap((slurmVersion) =>
      expandPattern(pattern, { ...fields, slurmVersion }) ?? []
    );
  }

  /** Returns the first of some names that is there, with the task's own id or the array's. */
  #there(names: readonly string[], own: string | undefined): string | undefined {
    for (const name of names) {
      const there = [...withOwnId(name, this.#job.jobId, own), name]
        .find((path) => this.#files.has(path));
      if (there !== undefined) return there;
    }
    return undefined;
  }

  #padded(fields: PatternFields, own: string | undefined): string | undefined {
    for (const width of this.#widths) {
      const pattern = this.#pattern.replaceAll("%a", `%${width}a`);
      const there = this.#there(this.#expand(pattern, fields), own);
      if (there === undefined) continue;
      this.#widths = [width, ...this.#widths.filter((other) => other !== width)];
      return there;
    }
    return undefined;
  }

  /** Returns the files of any node whose names have the job's id: others may be another job's. */
  #matching(fields: PatternFields, own: string | undefined): string[] {
    const arrayId = this.#job.jobId;
    const glob = patternGlob(this.#pattern, fields);
    const directory = parentPath(glob);
    const file = glob.slice(directory === "." ? 0 : directory.length + 1);
    for (const id of new Set([own ?? arrayId, arrayId])) {
      const numbers: string[] = [];
      const expression = file.replace(
        /\[(.)\]|(\*)|0*(\d+)|([^])/g,
        (_, bracketed?: string, any?: string, number?: string, plain?: string) => {
          if (any !== undefined) return "[\\w-]+";
          if (number === undefined) return (bracketed ?? plain ?? "").replace(/\W/, "\\$&");
          const one = number === arrayId ? id : number;
          numbers.push(one);
          return `0*${one}`;
        },
      );
      if (!numbers.includes(id)) continue;
      const found = this.#files.matching(directory, numbers, new RegExp(`^${expression}$`));
      if (found.length > 0) return found;
    }
    return [];
  }
}

/**
 * Returns a name with a task's own id, as wide, in the place of the array's: wherever that stands, and
 * in some of the places only.
 */
function withOwnId(name: string, arrayId: string, own: string | undefined): string[] {
  if (own === undefined || own === arrayId || !name.includes(arrayId)) return [];
  const [start = "", ...rest] = name.split(new RegExp(`(?<!\\d)(0*${arrayId})(?!\\d)`));
  let names = [start];
  for (let at = 0; at < rest.length; at += 2) {
    const [shown = "", part = ""] = rest.slice(at, at + 2);
    const ids = [own.padStart(shown.length, "0"), shown];
    names = names.flatMap((before) => ids.map((id) => `${before}${id}${part}`));
  }
  return names.filter((other) => other !== name);
}

/** Returns the numbers in a text, without zeros before them. */
function numbersIn(text: string): string[] {
  return [...text.matchAll(/0*(\d+)/g)].map(([, number = ""]) => number);
}

/**
 * What is there where jobs run, for one look at many of them: their logs are often in one directory.
 */
export class SeenFiles {
  readonly #byBase = new Map<string, Files>();

  /** Returns what is there below a directory. */
  below(base: string): Files {
    const known = this.#byBase.get(base);
    if (known !== undefined) return known;
    const files = new Files(base);
    this.#byBase.set(base, files);
    return files;
  }
}

/** What is there below a directory; each directory below it is read once. */
class Files {
  readonly #base: string;
  readonly #names = new Map<string, ReadonlySet<string>>();
  readonly #byNumber = new Map<string, ReadonlyMap<string, readonly string[]>>();

  constructor(base: string) {
    this.#base = base;
  }

  has(path: string): boolean {
    const directory = parentPath(path);
    return this.#namesIn(directory).has(path.slice(directory === "." ? 0 : directory.length + 1));
  }

  /** Returns the paths in a directory whose names have all of some numbers and match. */
  matching(directory: string, numbers: readonly string[], expression: RegExp): string[] {
    let byNumber = this.#byNumber.get(directory);
    if (byNumber === undefined) {
      const groups = new Map<string, string[]>();
      for (const name of this.#namesIn(directory)) {
        for (const number of new Set(numbersIn(name))) {
          const others = groups.get(number);
          if (others === undefined) groups.set(number, [name]);
          else others.push(name);
        }
      }
      byNumber = groups;
      this.#byNumber.set(directory, byNumber);
    }
    const [fewest = []] = numbers.map((number) => byNumber.get(number) ?? [])
      .sort((a, b) => a.length - b.length);
    return fewest.filter((name) => expression.test(name))
      .map((name) => joinPath(directory, name)).sort();
  }

  #namesIn(directory: string): ReadonlySet<string> {
    let names = this.#names.get(directory);
    if (names === undefined) {
      names = readNames(directory === "." ? this.#base : `${this.#base}/${directory}`);
      this.#names.set(directory, names);
    }
    return names;
  }
}

function readNames(directory: string): Set<string> {
  try {
    return new Set([...Deno.readDirSync(directory)].map(({ name }) => name));
  } catch {
    return new Set();
  }
}
