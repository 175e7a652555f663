/**
 * The tool, in a process that is struck at its n-th step: `crash_worker.ts WORD…` with the plan of
 * {@link CrashPlan} in the environment. A step is a change of a file by the tool itself, and for each
 * program that it starts the moment before, the moment when the program runs, and the moment when it
 * has ended and the tool does not know yet.
 */

/**
 * What happens at a step: the process kills itself with SIGKILL; it stops itself with SIGSTOP; the
 * change or the program fails, this once; from there on there is no space left for any new file.
 * Programs have only the one step before them where something fails.
 */
export type Blow = "kill" | "stop" | "fail" | "full";

/** What the process is to do; in the variable `CRASH_PLAN` as JSON. */
export interface CrashPlan {
  /** Each step is a line of this file. */
  readonly log: string;
  /** The number of the step to be struck at, from 1; none to count them. */
  readonly at?: number;
  readonly blow?: Blow;
  /** Steps that do not count: their text matches. */
  readonly leaveOut?: string;
}

const plan = JSON.parse(Deno.env.get("CRASH_PLAN") ?? "{}") as CrashPlan;
// Jobs would inherit it.
Deno.env.delete("CRASH_PLAN");

const { blow = "kill" } = plan;
const isMild = blow === "fail" || blow === "full";
const leaveOut = plan.leaveOut === undefined ? undefined : new RegExp(plan.leaveOut);
const log = Deno.openSync(plan.log, { write: true, create: true, append: true });
let steps = 0;

/** Notes a step; dies or stops there if it is the one, and otherwise returns whether it fails. */
function step(what: string): boolean {
  if (leaveOut?.test(what) === true) return false;
  steps += 1;
  logWrite.call(log, new TextEncoder().encode(`${what.replaceAll("\n", " ")}\n`));
  const isMeant = steps === plan.at;
  if (isMeant && blow === "kill") Deno.kill(Deno.pid, "SIGKILL");
  if (isMeant && blow === "stop") Deno.kill(Deno.pid, "SIGSTOP");
  return isMeant && isMild || blow === "full" && steps > (plan.at ?? Infinity);
}

/** Notes a change of a file, and throws where it fails. */
function change(what: string, isNew: boolean): void {
  const fails = step(what);
  if (!fails || blow === "full" && !isNew) return;
  const error = new Error(`No space left on device (os error 28): ${what}`);
  throw Object.assign(error, { code: "ENOSPC" });
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

/** Those for which a full disk has no place. */
const NEW = /^(?:copyFile|link|mkdir|symlink|write|open)/;

const { writeSync: logWrite } = Deno.FsFile.prototype;

function watchFiles(): void {
  for (const name of CHANGES.flatMap((change) => [change, `${change}Sync`])) {
    const original = Reflect.get(Deno, name) as Callable;
    const watched = (...args: unknown[]) => {
      change(`${name} ${String(args[0])}`, NEW.test(name));
      return original.apply(Deno, args);
    };
    Object.assign(Deno, { [name]: watched });
  }
  const openSync = Deno.openSync;
  const opening = (path: string | URL, options?: Deno.OpenOptions) => {
    if (options?.write === true) change(`open ${String(path)}`, true);
    return openSync(path, options);
  };
  Object.assign(Deno, { openSync: opening });
  Deno.FsFile.prototype.writeSync = function (bytes: Uint8Array): number {
    change("write to an open file", true);
    return logWrite.call(this, bytes);
  };
}

function watchPrograms(): void {
  const Original = Deno.Command;
  class Watched extends Original {
    readonly #argv: string;
    readonly #options: Deno.CommandOptions | undefined;
    constructor(program: string | URL, options?: Deno.CommandOptions) {
      super(program, options);
      this.#options = options;
      const words = (options?.args ?? []).filter((word) => !/^(-c|[a-z]+\.\w+=.*)$/.test(word));
      this.#argv = [String(program), ...words.slice(0, 3)].join(" ");
    }
    override spawn(): Deno.ChildProcess {
      if (step(`before ${this.#argv}`) && blow === "fail") return this.#fail();
      const child = super.spawn();
      if (isMild) return child;
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
    #fail(): Deno.ChildProcess {
      const args = ["-c", "echo no luck today >&2; exit 128"];
      return new Original("sh", { ...this.#options, args }).spawn();
    }
  }
  Object.assign(Deno, { Command: Watched });
}

if (import.meta.main) {
  watchFiles();
  watchPrograms();
  await import("../../main.ts");
}
