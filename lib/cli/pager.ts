import { pagerCommand } from "../git/pager.ts";
import { page } from "../process/page.ts";
import type { Terminal } from "./terminal.ts";

/** Returns whether so many lines, and the prompt below them, fit on the screen. */
export function fitsScreen(lines: number, { height }: Pick<Terminal, "height">): boolean {
  return lines < height;
}

/**
 * Shows the lines of a result; on a terminal that has not room for all of them through the pager
 * that git would use in a directory.
 */
export async function showLong(
  lines: readonly string[],
  terminal: Terminal,
  directory: string,
): Promise<void> {
  const text = lines.join("\n");
  const command = fitsScreen(lines.length, terminal) ? undefined : await pagerCommand(directory);
  if (command === undefined || !await page(command, `${text}\n`)) terminal.result(text);
}
