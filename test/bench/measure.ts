import { externalError, run, type RunOptions, type RunResult } from "../../lib/process/run.ts";

/** Starts one program of a contender and waits for its end. */
export type Start = (argv: readonly string[], options?: StartOptions) => Promise<RunResult>;

/** How a program is started; an exit code that is neither 0 nor tolerated ends the bench. */
export interface StartOptions extends RunOptions {
  readonly tolerate?: readonly number[];
}

/** Something whose time is taken. */
export interface Contender {
  readonly name: string;
  /** Sets the scene; its time is not taken. */
  prepare?(): Promise<void>;
  /** Does the work, starting every program through `start`. */
  run(start: Start): Promise<void>;
}

/** What was measured of one contender. */
export interface Measured {
  readonly name: string;
  /** The median in milliseconds. */
  readonly milliseconds: number;
  /** The largest process in bytes, or undefined where GNU time is not installed. */
  readonly peakMemory: number | undefined;
}

const GNU_TIME = "/usr/bin/time";

/** Starts a program. Throws when it ends with a code that is not tolerated. */
export const start: Start = async (argv, { tolerate = [], ...options } = {}) => {
  const result = await run(argv, options);
  if (result.code !== 0 && !tolerate.includes(result.code)) {
    throw externalError(result, "A measured program failed");
  }
  return result;
};

/**
 * Measures contenders in turns (A B C A B C …), so that noise of the machine hits all of them, and
 * returns what was measured in the same order. A first turn warms up; a last one takes the memory.
 */
export async function measure(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Measured[]> {
  const samples = contenders.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      await contender.prepare?.();
      const started = performance.now();
      await contender.run(start);
      if (round >= 0) samples[index]?.push(performance.now() - started);
    }
  }
  const measured: Measured[] = [];
  for (const [index, contender] of contenders.entries()) {
    measured.push({
      name: contender.name,
      milliseconds: median(samples[index] ?? []),
      peakMemory: await peakMemory(contender),
    });
  }
  return measured;
}

/** Returns the middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

/** Runs a contender once more with GNU time before each program, which costs a process of its own. */
async function peakMemory(contender: Contender): Promise<number | undefined> {
  if (!isFile(GNU_TIME)) return undefined;
  await contender.prepare?.();
  const report = await Deno.makeTempFile();
  try {
    let largest = 0;
    await contender.run(async (argv, options) => {
      const result = await start([GNU_TIME, "-f", "%M", "-o", report, ...argv], options);
      // A line before it tells of a non-zero exit code.
      const kibibytes = (await Deno.readTextFile(report)).trim().split("\n").at(-1);
      largest = Math.max(largest, Number(kibibytes) * 1024);
      return result;
    });
    return largest;
  } finally {
    await Deno.remove(report);
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
