/**
 * Runs a program in our place: with our stdin, stdout and stderr, the signals that reach us passed
 * on. Returns its exit code.
 */
export async function handOver(argv: readonly string[]): Promise<number> {
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  // From a terminal the child gets SIGINT itself; here it is only kept from ending us first.
  const ignore = () => {};
  const pass = () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
  };
  Deno.addSignalListener("SIGINT", ignore);
  Deno.addSignalListener("SIGTERM", pass);
  try {
    const status = await child.status;
    return status.code;
  } finally {
    Deno.removeSignalListener("SIGINT", ignore);
    Deno.removeSignalListener("SIGTERM", pass);
  }
}
