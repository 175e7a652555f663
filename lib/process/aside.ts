/** How a program that runs aside has ended. */
export interface AsideEnd {
  readonly code: number;
  readonly signal: string | null;
}

/** A program that was started to run on by itself. */
export interface Aside {
  readonly pid: number;
  readonly ended: Promise<AsideEnd>;
}

/**
 * Starts a program in a session of its own (setsid), with nothing on its stdin, stdout and stderr,
 * that goes on when this process ends. The environment is exactly the one given. Throws when it
 * cannot be started.
 */
export function startAside(
  argv: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>>,
): Aside {
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    cwd,
    clearEnv: true,
    env: { ...environment },
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: true,
  }).spawn();
  // This process need not stay for it.
  child.unref();
  return { pid: child.pid, ended: child.status };
}
