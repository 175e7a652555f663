/**
 * The tool, in a process that kills itself with SIGKILL at its n-th step: `crash_worker.ts WORD…`
 * with the plan of {@link CrashPlan} in the environment. A step is a change of a file by the tool
 * itself, and for each program that it starts the moment before, the moment when the program runs,
 * and the moment when it has ended and the tool does not know yet.
 */

/** What the process is to do; in the variable `CRASH_PLAN` as JSON. */
export interface CrashPlan {
  /** Each step is a line of this file. */
  readonly log: string;
  /** The number of the step to die at, from 1; none to count them. */
  readonly at?: number;
  /** Steps that do not count: their text matches. */
  readonly leaveOut?: string;
}

const plan = JSON.parse(Deno.env.get("CRASH_PLAN") ?? "{}") as CrashPlan;
// Jobs would inherit it.
Deno.env.delete("CRASH_PLAN");

const leaveOut = plan.leaveOut === undefined ? undefined : new RegExp(plan.leaveOut);
const log = Deno.openSync(plan.log, { write: true, create: true, append: true });
let steps = 0;

function step(what: string): void {
  if (leaveOut?.test(what) === true) return;
  steps += 1;
  log.writeSync(new TextEncoder().encode(`${what.replaceAll("\n", " ")}\n`));
  if (steps === plan.at) Deno.kill(Deno.pid, "SIGKILL");
}

type Callable = (...args: unknown[]) => unknown;

const CHANGES = [
  "chmod",
  "copyFile",
  "link",
  "mkdir",
  "remove",
  "rename",
  "symlink",
  "truncate",
  "utime",
  "writeFile",
  "writeTextFile",
];

function watchFiles(): void {
  for (const name of CHANGES.flatMap((change) => [change, `${change}Sync`])) {
    const original = Reflect.get(Deno, name) as Callable;
    const watched = (...args: unknown[]) => {
      step(`${name} ${String(args[0])}`);
      return original.apply(Deno, args);
    };
    Object.assign(Deno, { [name]: watched });
  }
  const openSync = Deno.openSync;
  const opening = (path: string | URL, options?: Deno.OpenOptions) => {
    if (options?.write === true) step(`open ${String(path)}`);
    return openSync(path, options);
  };
  Object.assign(Deno, { openSync: opening });
  const { writeSync } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.writeSync = function (bytes: Uint8Array): number {
    if (this !== log) step("write to an open file");
    return writeSync.call(this, bytes);
  };
}

function watchPrograms(): void {
  const Original = Deno.Command;
  class Watched extends Original {
    readonly #argv: string;
    constructor(program: string | URL, options?: Deno.CommandOptions) {
      super(program, options);
      const words = (options?.args ?? []).filter((word) => !/^(-c|[a-z]+\.\w+=.*)$/.test(word));
      this.#argv = [String(program), ...words.slice(0, 3)].join(" ");
    }
    override spawn(): Deno.ChildProcess {
      step(`before ${this.#argv}`);
      const child = super.spawn();
      step(`during ${this.#argv}`);
      const output = child.output.bind(child);
      let ended = false;
      const end = <Result>(result: Result): Result => {
        if (!ended) step(`after ${this.#argv}`);
        ended = true;
        return result;
      };
      Object.defineProperty(child, "output", { value: async () => end(await output()) });
      const { status } = child;
      Object.defineProperty(child, "status", { get: async () => end(await status) });
      return child;
    }
  }
  Object.assign(Deno, { Command: Watched });
}

if (import.meta.main) {
  watchFiles();
  watchPrograms();
  await import("../../main.ts");
}
