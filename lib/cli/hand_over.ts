import { ToolError } from "../errors.ts";
import { handOver } from "../process/hand_over.ts";

/**
 * Runs the next `datalad` on PATH that is not this executable, with our stdin, stdout and stderr,
 * and returns its exit code. Throws a {@link ToolError} when there is none.
 */
export async function handOverToDatalad(
  words: readonly string[],
  executable: string | undefined,
): Promise<number> {
  const own = realPath(executable);
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    const program = `${directory || "."}/datalad`;
    const found = realPath(program);
    if (found !== undefined && found !== own) return await handOver([program, ...words]);
  }
  throw new ToolError("external", 'There is no other program "datalad" on PATH', {
    hint: `Install DataLad for ${JSON.stringify(words[0] ?? "its commands")}; ` +
      "this link answers only schedule, finish and reschedule",
  });
}

function realPath(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return Deno.statSync(path).isFile ? Deno.realPathSync(path) : undefined;
  } catch {
    return undefined;
  }
}
