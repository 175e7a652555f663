import { ToolError } from "../errors.ts";
import { ownProgram } from "../process/own_program.ts";
import { run, text } from "../process/run.ts";
import { fileSystemOf } from "../store/file_system.ts";
import { TRIAL, tryRenames } from "../store/lock_trial.ts";
import { errorCode } from "../store/lock_layout.ts";
import { type Check, ok, problem, warning } from "./checks.ts";

/** Longest time for the trial of the lock, in milliseconds: a hundred holds in turn. */
const TRIAL_PATIENCE_MS = 60_000;

/** Longest wait for nodes, in seconds. */
const NODES_PATIENCE = 60;

/** Clocks may differ so much, in seconds, before anybody is misled by it. */
const CLOCK_TOLERANCE = 10;

/**
 * Tries what the repository lock asks of the file system below a directory, in a directory of its
 * own that is removed again: renames, several processes that want the lock at once, on so many nodes
 * of the cluster where that is asked for, the clock, and symbolic links.
 */
export async function checkFileSystem(
  base: string,
  hasAnnex: boolean,
  nodes: number | undefined,
): Promise<Check[]> {
  const name = "file system";
  const type = typeOf(base);
  const directory = `${base}/doctor.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    Deno.mkdirSync(directory, { recursive: true });
    const wrong = tryRenames(scratch(directory, "renames"));
    if (wrong.length > 0) {
      return [problem(name, `${type}: ${wrong.join("; ")}`, ELSEWHERE)];
    }
    return [
      ok(name, `The repository is on ${type}; directories are renamed as the lock needs it`),
      await checkExclusion(scratch(directory, "turns"), type, nodes),
      checkClock(directory, type),
      checkLinks(directory, hasAnnex),
    ];
  } catch (error) {
    if (errorCode(error) === undefined && !(error instanceof ToolError)) throw error;
    const said = error instanceof Error ? error.message : String(error);
    return [problem(
      name,
      `${type}: ${said}`,
      "Make sure that you may write to the repository, and that space and quota are left",
    )];
  } finally {
    remove(directory);
  }
}

const ELSEWHERE = "Keep the dataset on another file system: two commands could work at once here";

function scratch(directory: string, name: string): string {
  Deno.mkdirSync(`${directory}/${name}`);
  return `${directory}/${name}`;
}

function remove(directory: string): void {
  try {
    Deno.removeSync(directory, { recursive: true });
  } catch {
    // It was never made, or the trouble has been told.
  }
}

function typeOf(path: string): string {
  try {
    const found = fileSystemOf(
      Deno.realPathSync(path.slice(0, path.lastIndexOf("/"))),
      Deno.readTextFileSync("/proc/self/mountinfo"),
    );
    return found === undefined ? "an unknown file system" : `${found.type} (${found.mountPoint})`;
  } catch {
    return "an unknown file system";
  }
}

/** Has several processes hold a lock in turn: on this machine, or one on each of some nodes. */
async function checkExclusion(
  directory: string,
  type: string,
  nodes: number | undefined,
): Promise<Check> {
  const name = "lock trial";
  const program = ownProgram();
  if (program === undefined) return ok(name, "Not tried: this program cannot be started again");
  scratch(directory, "turns");
  const words = [...program.argv, "lock-trial", directory];
  const started = performance.now();
  const runs = await Promise.all(
    (nodes === undefined ? Array.from({ length: TRIAL.processes }, () => words) : [[
      "srun",
      `--nodes=${nodes}`,
      `--ntasks=${nodes}`,
      "--ntasks-per-node=1",
      `--immediate=${NODES_PATIENCE}`,
      "--quiet",
      ...words,
    ]]).map((argv) =>
      run(argv, {
        env: program.environment,
        timeoutMs: TRIAL_PATIENCE_MS + (nodes === undefined ? 0 : NODES_PATIENCE * 1000),
      })
    ),
  );
  const processes = nodes ?? TRIAL.processes;
  const failed = runs.find(({ code }) => code !== 0);
  if (failed !== undefined) {
    const said = failed.timedOut ? "it took too long" : failed.stderr.trim().split("\n")[0] ?? "";
    return nodes === undefined
      ? problem(name, `The lock could not be had in a trial: ${said}`, ELSEWHERE)
      : problem(
        name,
        `The lock could not be tried on ${nodes} nodes: ${said}`,
        `See whether it is the nodes that cannot be had: srun --nodes=${nodes} hostname`,
      );
  }
  const counts = runs.flatMap(({ stdout }) => text(stdout).trim().split("\n").map(Number));
  const collisions = counts.reduce((sum, count) => sum + count, 0);
  if (collisions > 0 || counts.length !== processes) {
    return problem(
      name,
      `In a trial ${collisions} of ${processes * TRIAL.rounds} holders of a lock were not ` +
        `alone, or did not see what the one before had done (${type})`,
      ELSEWHERE,
    );
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const where = nodes === undefined ? "processes" : "nodes";
  return ok(
    name,
    `${processes} ${where} held a lock ${TRIAL.rounds} times each, one at a time (${seconds} s)`,
  );
}

/** Compares the times that the file system gives to files with this machine's clock. */
function checkClock(directory: string, type: string): Check {
  const name = "file times";
  const before = Date.now();
  const file = `${directory}/now`;
  Deno.writeTextFileSync(file, "");
  const written = Deno.statSync(file).mtime?.getTime() ?? before;
  const seconds = Math.round(
    (written < before ? written - before : Math.max(0, written - Date.now())) / 1000,
  );
  return Math.abs(seconds) <= CLOCK_TOLERANCE
    ? ok(name, "Times of files agree with the clock")
    : warning(
      name,
      `Times of files are ${Math.abs(seconds)} s ${
        seconds > 0 ? "ahead of" : "behind"
      } this machine's clock (${type})`,
      "Have the clocks of this machine and of the file server set (NTP): git goes by times of files",
    );
}

function checkLinks(directory: string, hasAnnex: boolean): Check {
  const name = "symbolic links";
  try {
    Deno.symlinkSync("target", `${directory}/link`);
    Deno.readLinkSync(`${directory}/link`);
    return ok(name, "Symbolic links can be made");
  } catch (error) {
    const said = `Symbolic links cannot be made here: ${errorCode(error) ?? ""}`;
    const hint = "Keep the dataset on a file system that has them: git-annex needs them";
    return hasAnnex ? problem(name, said, hint) : warning(name, said, hint);
  }
}

/** Less space than this is worth a word, in bytes. */
const LEAST_SPACE = 1e9;

/** Looks how much space is left in a directory, of which `what` says what is there. */
export async function checkSpace(name: string, what: string, directory: string): Promise<Check[]> {
  const result = await run(["df", "-Pk", directory], { env: { LC_ALL: "C" }, timeoutMs: 10_000 });
  const free = freeBytes(text(result.stdout));
  if (free === undefined) {
    return [ok(name, `df does not say how much space is left in ${shown(directory)}`)];
  }
  const left = `${what} in ${shown(directory)}, where ${(free / 1e9).toFixed(1)} GB are free`;
  return [
    free >= LEAST_SPACE
      ? ok(name, left)
      : warning(name, left, "Free some: results that cannot be written cannot be committed"),
  ];
}

/** Returns the bytes that are available, in the second line of `df -Pk`. */
export function freeBytes(stdout: string): number | undefined {
  const available = /^(?:.* )?\d+ +\d+ +(\d+) +\S+ +\//m.exec(stdout)?.[1];
  return available === undefined ? undefined : Number(available) * 1024;
}

function shown(path: string): string {
  return JSON.stringify(path);
}
