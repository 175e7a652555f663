import { readSample, sampleRows } from "./slurm_sample.ts";
import { STATE_COLUMNS } from "../../lib/slurm/sacct.ts";

const DRIVER = new URL("./slurm_driver.ts", import.meta.url).pathname;

/** What a fake program does: print and exit, or run lines of shell. */
export type Behaviour =
  | { readonly stdout?: string; readonly stderr?: string; readonly code?: number }
  | { readonly shell: string };

/** A folder of fake Slurm programs, alone on PATH for what is run with it. */
export class FakeSlurm implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "fake-slurm-" });

  /** Puts a program on the private PATH. */
  put(program: string, behaviour: Behaviour): void {
    const path = `${this.folder}/bin/${program}`;
    Deno.mkdirSync(`${this.folder}/bin`, { recursive: true });
    const lines = "shell" in behaviour ? behaviour.shell : this.#printing(program, behaviour);
    const log = `for word in ${program} "$@"; do printf '%s\\0' "$word"; done`;
    Deno.writeTextFileSync(
      path,
      `#!/bin/sh
{ ${log}; printf '\\n'; } >>'${this.folder}/calls'
/usr/bin/env >'${this.folder}/${program}.env'
${lines}
`,
    );
    Deno.chmodSync(path, 0o755);
  }

  #printing(program: string, { stdout, stderr, code }: Exclude<Behaviour, { shell: string }>) {
    Deno.writeTextFileSync(`${this.folder}/${program}.out`, stdout ?? "");
    Deno.writeTextFileSync(`${this.folder}/${program}.err`, stderr ?? "");
    const shown = `'${this.folder}/${program}`;
    return `/bin/cat ${shown}.out'; /bin/cat ${shown}.err' >&2; exit ${code ?? 0}`;
  }

  /** Lets a program end as it does in a sample of a failure. */
  replay(program: string, sample: string): void {
    this.put(program, readSample(sample));
  }

  /** Returns what the adapter answers in an environment of these programs and variables. */
  async ask<Result>(
    name: "query" | "account" | "recover" | "runs" | "over",
    input: unknown,
    env: Record<string, string> = {},
  ): Promise<Result> {
    const file = `${this.folder}/input.json`;
    Deno.writeTextFileSync(file, JSON.stringify(input));
    const output = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-config",
        "--no-lock",
        DRIVER,
        name,
        file,
      ],
      clearEnv: true,
      env: { HOME: this.folder, PATH: `${this.folder}/bin`, DENO_DIR: denoDirectory(), ...env },
    }).output();
    const decoder = new TextDecoder();
    if (!output.success) throw new Error(decoder.decode(output.stderr));
    return JSON.parse(decoder.decode(output.stdout));
  }

  /** Returns the argv of every call so far. */
  calls(): string[][] {
    try {
      return Deno.readTextFileSync(`${this.folder}/calls`)
        .split("\0\n").filter((call) => call !== "").map((call) => call.split("\0"));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** Returns the environment that a program saw last. */
  environmentOf(program: string): string[] {
    return Deno.readTextFileSync(`${this.folder}/${program}.env`).split("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** The compiled forms of the sources are kept where this run of the tests keeps them. */
function denoDirectory(): string {
  return Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
}

/** Returns the rows of a sample of sacct's as the state query would have got them. */
export function asStateTable(sample: string): string {
  return sampleRows(sample)
    .map((row) => STATE_COLUMNS.map((column) => row[column] ?? "").join("\x1f") + "\n").join("");
}

/** Returns one row of the state query. */
export function stateRow(id: string, state: string, exit = "0:0", submit = "1795359739"): string {
  return [id, id, state, exit, submit, submit, submit, "None"].join("\x1f") + "\n";
}

/** Returns one row of squeue's. */
export function queueRow(id: string, state: string, reason = "None"): string {
  return [id, id, state, "1795359739", "N/A", "N/A", reason].join("\x1f") + "\n";
}
