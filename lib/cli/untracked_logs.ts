import type { FinishedJob } from "../commands/finish.ts";
import { pathsByRepository } from "../dataset/paths.ts";
import { pathBelow } from "../paths.ts";
import { quoteWord } from "../record/command.ts";
import { harmless } from "../record/show.ts";
import type { Terminal } from "./terminal.ts";

/** Of so many logs the command that removes them is shown. */
const MOST_LOGS = 20;

/** Says that logs of jobs that were closed are still there, and how just they are removed. */
export function showUntrackedLogs(
  root: string,
  jobs: readonly FinishedJob[],
  terminal: Terminal,
): void {
  const logs = new Set(
    jobs.flatMap(({ outcome, logs }) => outcome === "failed" ? [] : logs ?? []),
  );
  if (logs.size === 0) return;
  const what = logs.size === 1 ? "The log" : `${logs.size} logs`;
  terminal.hint(
    `${what} of what was closed ${logs.size === 1 ? "stays" : "stay"} untracked; ` + (
      logs.size > MOST_LOGS
        ? `${inWords([...gitIn(root), "clean", "-n"])} lists what is untracked, -f with paths ` +
          "removes it"
        : `remove with: ${removing(root, [...logs]).map(inWords).join(" && ")}`
    ),
  );
}

/** Returns the commands that remove logs: one for each repository, and one for those outside. */
function removing(root: string, logs: readonly string[]): string[][] {
  const outside = logs.filter((path) => path.startsWith("/"));
  const inside = logs.filter((path) => !path.startsWith("/"));
  const commands = [...pathsByRepository(root, inside)].map((
    [repository, paths],
  ) => [...gitIn(repository), "clean", "-f", "--", ...paths.map(pathspec)]);
  return outside.length === 0 ? commands : [...commands, ["rm", "-f", "--", ...outside]];
}

/** Returns how git is called for a repository from where the user is. */
function gitIn(repository: string): string[] {
  const here = Deno.cwd();
  if (here === repository) return ["git"];
  return ["git", "-C", pathBelow(here, repository) ?? repository];
}

function inWords(argv: readonly string[]): string {
  return harmless(argv.map(quoteWord).join(" "));
}

/** Returns what stands for a path alone, whatever is in it. */
function pathspec(path: string): string {
  return /[*?[\\]|^:/.test(path) ? `:(literal)${path}` : path;
}
