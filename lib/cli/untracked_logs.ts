import type { FinishedJob } from "../commands/finish.ts";
import { quoteWord } from "../record/command.ts";
import { harmless } from "../record/show.ts";
import type { Terminal } from "./terminal.ts";

/** Of so many logs the command that removes them is shown. */
const MOST_LOGS = 20;

/** Says that logs of jobs that were closed are still in the work tree, and how they are removed. */
export function showUntrackedLogs(
  root: string,
  jobs: readonly FinishedJob[],
  terminal: Terminal,
): void {
  const logs = new Set(
    jobs.flatMap(({ outcome, logs }) => outcome === "failed" ? [] : logs ?? []),
  );
  if (logs.size === 0) return;
  const command = ["git", ...Deno.cwd() === root ? [] : ["-C", root], "clean"];
  const inWords = (...words: string[]) => harmless([...command, ...words].map(quoteWord).join(" "));
  const what = logs.size === 1 ? "The log" : `${logs.size} logs`;
  terminal.hint(
    `${what} of what was closed ${logs.size === 1 ? "stays" : "stay"} untracked; ` + (
      logs.size > MOST_LOGS
        ? `${inWords("-n")} lists what is untracked, -f with paths removes it`
        : `remove with: ${inWords("-f", "--", ...[...logs].map(pathspec))}`
    ),
  );
}

/** Returns what stands for a path alone, whatever is in it. */
function pathspec(path: string): string {
  return /[*?[\\]|^:/.test(path) ? `:(literal)${path}` : path;
}
