import type { Invocation } from "../executable/environment.ts";
import { AS_STAND_IN, standInDirectory } from "../slurm/local/place.ts";
import { runRunner, runStandIn } from "../slurm/local/programs.ts";
import { EXIT } from "./exit.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Runs one of Slurm's programs as the stand-in does it: called by its name, or as
 * `--stand-in=sbatch CALLED-AS FOLDER WORDS …`; `--stand-in=runner FOLDER` runs the jobs.
 */
export async function runAsStandIn(
  words: readonly string[],
  invocation: Invocation,
  terminal: Terminal,
): Promise<number> {
  const say = {
    out: (text: string) => {
      if (text !== "") terminal.result(text.replace(/\n$/, ""));
    },
    err: (line: string) => terminal.say(line),
  };
  const [first = "", second = "", third = "", ...rest] = words;
  if (!first.startsWith(AS_STAND_IN)) {
    const { name: program, executable = program } = invocation;
    const call = { program, calledAs: executable, directory: standInDirectory(), ...say };
    return await runStandIn(call, words);
  }
  const program = first.slice(AS_STAND_IN.length);
  if (program === "runner") {
    await runRunner(second);
    return EXIT.done;
  }
  return await runStandIn({ program, calledAs: second, directory: third, ...say }, rest);
}
