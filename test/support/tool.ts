import { type Ran, type RanWith, runProgram } from "./scratch.ts";

/** Names the program that a run of the tests has bundled, which starts in less time. */
export const BUNDLED_PROGRAM = "DATALAD_SLURM_TEST_PROGRAM";

const main = Deno.env.get(BUNDLED_PROGRAM) ?? new URL("../../main.ts", import.meta.url).pathname;

/** The built executable that is to be tested, or undefined for the program as it stands here. */
const executable = Deno.env.get("DATALAD_SLURM_EXECUTABLE") || undefined;

/** Returns how the tool is called; unless it is built, by the deno that runs the tests. */
export function toolArgv(): string[] {
  return executable === undefined
    ? [Deno.execPath(), "run", "--quiet", "--no-prompt", "-A", main]
    : [executable];
}

/** The cache that holds the npm packages: a test's home is empty. */
const denoDir = Deno.env.get("DENO_DIR") ??
  `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`;

/** Returns what the tool needs in its environment besides a user's. */
export function toolEnvironment(): Record<string, string> {
  return { DENO_DIR: denoDir };
}

let calls = 0;

/**
 * Returns a command line, or what starts it at the other node: every second time where there is one
 * (test/stress/network.ts), whose words are in `DATALAD_SLURM_OTHER_NODE`.
 */
export function atSomeNode(argv: readonly string[], cwd: string): string[] {
  const words = Deno.env.get("DATALAD_SLURM_OTHER_NODE");
  if (words === undefined || calls++ % 2 === 0) return [...argv];
  return [...words.split(" "), `--wdns=${cwd}`, ...argv];
}

/** Runs the tool as a user does and returns how it ended. */
export async function runTool(args: readonly string[], options: RanWith): Promise<Ran> {
  return await runProgram(atSomeNode([...toolArgv(), ...args], options.cwd), {
    ...options,
    env: { ...options.env, ...toolEnvironment() },
  });
}

/**
 * Puts the tool into a directory under another name, as a link to the executable would; from source
 * a script stands for the link and tells its name the way the launcher does.
 */
export async function linkTool(path: string): Promise<void> {
  if (executable !== undefined) return await Deno.symlink(executable, path);
  const words = toolArgv().map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const lines = [
    "#!/bin/sh",
    // As the stand-in's own programs have it, which take any name.
    "# datalad-slurm: the local stand-in",
    `DENO_DIR='${denoDir}' DATALAD_SLURM_LAUNCHER_PATH=$0 exec ${words} "$@"`,
    "",
  ];
  await Deno.writeTextFile(path, lines.join("\n"), { mode: 0o755 });
}
