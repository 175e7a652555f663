import { text } from "../process/run.ts";
import { git } from "./git.ts";

/**
 * Returns the shell command that git shows long output through in a directory: GIT_PAGER,
 * `core.pager`, PAGER, or the one it was built with. Undefined where it uses none.
 */
export async function pagerCommand(directory: string): Promise<string | undefined> {
  // Git's other processes get GIT_PAGER from us, so that none of them waits for a reader.
  const env = { GIT_PAGER: Deno.env.get("GIT_PAGER") };
  const result = await git(directory, ["var", "GIT_PAGER"], { env, tolerate: [1, 128, 129] });
  const command = result.code === 0 ? text(result.stdout).trim() : "";
  return command === "" || command === "cat" ? undefined : command;
}
