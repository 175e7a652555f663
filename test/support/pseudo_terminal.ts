import { type Ran, runProgram } from "./scratch.ts";

/** How a program is run on a terminal of its own. */
export interface OnTerminal {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly columns: number;
  readonly rows: number;
}

/** Whether there is no program here that makes a pseudo-terminal. */
export const noPseudoTerminal = !isOnPath("script");

/** Returns whether a program is on PATH. */
export function isOnPath(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((directory) => {
    try {
      return Deno.statSync(`${directory}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/**
 * Runs a program with stdin, stdout and stderr on one terminal of that size, and returns what was
 * written to it as stdout.
 */
export async function runOnTerminal(argv: readonly string[], options: OnTerminal): Promise<Ran> {
  const { cwd, env, columns, rows } = options;
  // The shell is gone when the program runs; the size is set before it looks.
  const command = `stty cols ${columns} rows ${rows} && exec ${argv.map(quoted).join(" ")}`;
  const { code, stdout, stderr } = await runProgram(
    ["script", "--quiet", "--return", "--echo", "never", "--command", command, "/dev/null"],
    { cwd, env: { TERM: "xterm-256color", SHELL: "/bin/sh", ...env } },
  );
  return { code, stdout: stdout.replaceAll("\r\n", "\n"), stderr };
}

/** Returns a word as the shell takes it. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
