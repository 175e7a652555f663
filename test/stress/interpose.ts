import type { TestDataset } from "../support/dataset.ts";
import { type Ran, runProgram } from "../support/scratch.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";

/** What happens when the tool starts a program. */
export interface Interposed {
  readonly program: string;
  /** A pattern of the shell for its arguments, joined by spaces. */
  readonly when?: string;
  /** Lines of shell that run before the program, the first time only; `$TOOL` is the tool's pid. */
  readonly before?: string;
  /** Lines of shell that run when it has ended, the first time only. */
  readonly after?: string;
  /** Words before the tool's own, such as of unshare. */
  readonly through?: readonly string[];
}

/**
 * Runs the tool with a program of PATH replaced by a script that does something at just the right
 * moment and then runs the program itself.
 */
export async function runInterposed(
  dataset: TestDataset,
  args: readonly string[],
  interposed: Interposed,
): Promise<Ran> {
  const directory = await Deno.makeTempDir({ dir: `${dataset.scratch.directory}/tmp` });
  const { program, when = "*", before = ":", after = ":" } = interposed;
  const path = dataset.env["PATH"] ?? "";
  const lines = [
    "#!/bin/sh",
    `TOOL=$(cat '${directory}/pid')`,
    `PATH='${path}'`,
    `case "$*" in ${when}) mkdir '${directory}/once' 2>'${directory}/again' && now=1;; esac`,
    // What the user does here has nothing of the tool's environment.
    `meanwhile() (\n  unset GIT_INDEX_FILE\n  exec >>'${directory}/said' 2>&1\n  eval "$1"\n)`,
    `[ -z "$now" ] || meanwhile ${quote(before)}`,
    `${program} "$@"`,
    "code=$?",
    `[ -z "$now" ] || meanwhile ${quote(after)}`,
    "exit $code",
  ];
  await Deno.writeTextFile(`${directory}/${program}`, lines.join("\n") + "\n", { mode: 0o755 });
  const argv = [
    "sh",
    "-c",
    'echo $$ >"$0"; exec "$@"',
    `${directory}/pid`,
    ...interposed.through ?? [],
    ...toolArgv(),
    ...args,
  ];
  const ran = await runProgram(argv, {
    cwd: dataset.root,
    env: { ...dataset.env, ...toolEnvironment(), PATH: `${directory}:${path}` },
  });
  if (!exists(`${directory}/once`)) throw new Error(`${program} ${when} was never started`);
  return ran;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
