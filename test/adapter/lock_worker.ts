/**
 * A small program that takes the lock again and again, for the tests of the lock, which read what
 * it says. Its one argument is a JSON object of {@link WorkerOptions}; each line of its stdout is a
 * JSON object of {@link WorkerLine}.
 */
import { acquireLock, type Fence, type Lock, type LockTiming } from "../../lib/store/lock.ts";
import { removeEntry } from "../../lib/store/lock_layout.ts";
import { gitFence, publish, readEpoch } from "./lock_support.ts";

export interface WorkerOptions {
  readonly directory: string;
  readonly kind?: "repository lock" | "naive lock";
  /** How many want the lock in this process, each for itself; one when absent. */
  readonly contenders?: number;
  readonly holds?: number;
  readonly holdMs?: number;
  /** Kills itself with SIGKILL before (or after) its n-th change in the lock's directory. */
  readonly dieAtChange?: number;
  readonly dieAfter?: boolean;
  /** Stops itself with SIGSTOP in every hold after having said "begin". */
  readonly stop?: boolean;
  /** Kills itself in its n-th hold. */
  readonly dieInHold?: number;
  /** Kills itself when it has fenced and not yet broken. */
  readonly dieInFence?: boolean;
  /** Makes one commit a hold in this repository, verifying the epoch. */
  readonly repository?: string;
  readonly phase?: string;
  readonly timing?: Partial<LockTiming>;
}

export interface WorkerLine {
  readonly pid: number;
  /** Which of several in the process, from 0. */
  readonly contender: number;
  readonly event: "begin" | "end" | "published" | "rejected" | "fenced";
  readonly time: number;
  readonly waitedMs?: number;
}

/**
 * Bounds on what has to be added to `performance.now()` to have the machine's clock, which counts
 * from its start and which all processes share. `/proc/uptime` tells it in steps of 10 ms; every
 * reading narrows the bounds, and no reading can make them wrong, however late it comes.
 */
function calibrate(): { least: number; most: number } {
  let [least, most] = [-Infinity, Infinity];
  for (let readings = 0; readings < 5000 && most - least > 0.2; readings++) {
    const before = performance.now();
    const step = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]) * 1000;
    const after = performance.now();
    least = Math.max(least, step - after);
    most = Math.min(most, step + 10 - before);
  }
  return { least, most };
}

function spin(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** Counts the changes that this process makes in the lock's directory, and dies at one of them. */
function dieAt(directory: string, change: number, after: boolean): void {
  let changes = 0;
  for (const name of ["mkdirSync", "renameSync", "removeSync", "writeTextFileSync"] as const) {
    const original = Deno[name] as (...args: unknown[]) => void;
    const dying = (...args: unknown[]): void => {
      const counts = String(args[0]).startsWith(directory);
      if (counts) changes += 1;
      if (counts && changes === change && !after) Deno.kill(Deno.pid, "SIGKILL");
      try {
        original.apply(Deno, args);
      } finally {
        if (counts && changes === change && after) Deno.kill(Deno.pid, "SIGKILL");
      }
    };
    Object.assign(Deno, { [name]: dying });
  }
}

/** The lock that must not be made so: look whether its owner is dead, then remove it, then make it. */
async function acquireNaively(directory: string): Promise<Pick<Lock, "release">> {
  const path = `${directory}.naive`;
  for (;;) {
    // It deadlocks, too: a kill between mkdir and writing the owner leaves the former owner's name.
    if (performance.now() > 3_000) Deno.exit(0);
    try {
      Deno.mkdirSync(path);
      Deno.writeTextFileSync(`${path}.owner`, String(Deno.pid));
      return { release: () => void removeEntry(path) };
    } catch {
      if (isDead(Deno.readTextFileSync(`${path}.owner`))) {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
        try {
          Deno.removeSync(path);
        } catch {
          // Somebody else was faster.
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

function isDead(pid: string): boolean {
  try {
    return /^\d+ \(.*\) Z /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return true;
  }
}

async function contend(
  options: WorkerOptions,
  contender: number,
  { least, most }: ReturnType<typeof calibrate>,
): Promise<void> {
  const { directory, repository, holds = 1, holdMs = 2 } = options;
  const say = (event: WorkerLine["event"], time: number, waitedMs?: number) => {
    const line: WorkerLine = {
      pid: Deno.pid,
      contender,
      event,
      time,
      ...(waitedMs && { waitedMs }),
    };
    Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
  };
  const fence: Fence = async (token, epochText) => {
    if (repository !== undefined) await gitFence(repository, token, epochText);
    say("fenced", performance.now() + least);
    if (options.dieInFence === true) Deno.kill(Deno.pid, "SIGKILL");
  };
  for (let hold = 0; hold < holds;) {
    const epoch = repository === undefined ? "" : await readEpoch(repository);
    const asked = performance.now();
    const lock = options.kind === "naive lock"
      ? await acquireNaively(directory)
      : await acquireLock({
        directory,
        command: "lock_worker",
        fence,
        phase: options.phase,
        timing: options.timing,
      });
    // The latest moment at which it can have begun, the earliest at which it can have ended.
    say("begin", performance.now() + most, performance.now() - asked);
    if (options.stop === true) Deno.kill(Deno.pid, "SIGSTOP");
    if (hold + 1 === options.dieInHold) Deno.kill(Deno.pid, "SIGKILL");
    spin(holdMs);
    const accepted = repository === undefined || await publish(repository, epoch, `${Deno.pid}`);
    if (repository !== undefined) {
      say(accepted ? "published" : "rejected", performance.now() + least);
    }
    say("end", performance.now() + least);
    lock.release();
    if (accepted || options.stop === true) hold += 1;
  }
}

async function main(options: WorkerOptions): Promise<void> {
  const { directory, contenders = 1, dieAtChange, dieAfter = false } = options;
  const clock = calibrate();
  if (dieAtChange !== undefined) dieAt(directory, dieAtChange, dieAfter);
  await Promise.all(
    Array.from({ length: contenders }, (_, contender) => contend(options, contender, clock)),
  );
}

await main(JSON.parse(Deno.args[0] ?? "{}") as WorkerOptions);
