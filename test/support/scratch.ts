/** What a program said and how it ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program of a test is run. */
export interface RanWith {
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

/** No program of a test takes longer, in milliseconds. */
const PATIENCE = 90_000;

/** Runs a program to its end. Rejects when it cannot be started or does not end. */
export async function runProgram(argv: readonly string[], options: RanWith): Promise<Ran> {
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    cwd: options.cwd,
    clearEnv: true,
    env: { ...options.env },
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended just now.
    }
  }, PATIENCE);
  try {
    const [output] = await Promise.all([child.output(), feed(child, options.stdin)]);
    if (late) throw new Error(`${argv.join(" ")} did not end within ${PATIENCE / 1000} s`);
    return {
      code: output.code,
      stdout: new TextDecoder().decode(output.stdout),
      stderr: new TextDecoder().decode(output.stderr),
    };
  } finally {
    clearTimeout(timer);
  }
}

async function feed(child: Deno.ChildProcess, input: string | undefined): Promise<void> {
  if (input === undefined) return;
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
}

/** Runs a program that must succeed and returns its stdout. */
export async function output(argv: readonly string[], options: RanWith): Promise<string> {
  const { code, stdout, stderr } = await runProgram(argv, options);
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** A temporary directory with a home of its own, and the environment of a user in it. */
export interface Scratch {
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The time of all commits, so that nothing can depend on their order in time. */
const DATE = "2026-01-02T03:04:05Z";

/** Makes a scratch directory; its last component ends with `suffix`. */
export async function makeScratch(suffix = ""): Promise<Scratch> {
  const parent = await Deno.realPath(await Deno.makeTempDir({ prefix: "datalad-slurm-test-" }));
  const directory = suffix === "" ? parent : `${parent}/${suffix}`;
  await Deno.mkdir(`${directory}/home`, { recursive: true });
  await Deno.mkdir(`${directory}/tmp`);
  await Deno.writeTextFile(
    `${directory}/home/.gitconfig`,
    "[user]\n\tname = Ada Lovelace\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n",
  );
  return {
    directory,
    env: {
      PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
      HOME: `${directory}/home`,
      TMPDIR: `${directory}/tmp`,
      LC_ALL: "C.UTF-8",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_DATE: DATE,
      GIT_COMMITTER_DATE: DATE,
    },
  };
}

/** Removes a scratch directory; the annex makes its files and directories read-only. */
export async function removeScratch({ directory }: Scratch): Promise<void> {
  const top = directory.split("/").findIndex((part) => part.startsWith("datalad-slurm-test-"));
  const path = directory.split("/").slice(0, top + 1).join("/");
  const options = { cwd: "/", env: { PATH: "/usr/bin:/bin" } };
  endPrograms(path);
  await output(["chmod", "-R", "u+w", path], options);
  await Deno.remove(path, { recursive: true });
}

/** Ends what is still at work there, such as an `sbatch --wait` that has not seen its job end. */
function endPrograms(directory: string): void {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const cwd = Deno.readLinkSync(`/proc/${name}/cwd`);
      if (cwd.startsWith(`${directory}/`)) Deno.kill(Number(name), "SIGKILL");
    } catch {
      // It has ended by itself, or is none of ours.
    }
  }
}
