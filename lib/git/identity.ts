import { ToolError } from "../errors.ts";
import { text } from "../process/run.ts";
import type { Configuration } from "./config.ts";
import { git } from "./git.ts";

/**
 * Throws a {@link ToolError} when git would refuse to commit for want of a name or an e-mail
 * address. Costs no process where both are configured.
 */
export async function requireIdentity(root: string, configuration: Configuration): Promise<void> {
  for (const role of ["AUTHOR", "COMMITTER"]) {
    if (!isConfigured(role, configuration)) await readIdentity(root, role);
  }
}

/** Returns a role's identity and time as git writes them into commits: `Name <email> time zone`. */
export async function readIdentity(root: string, role: string): Promise<string> {
  const result = await git(root, ["var", `GIT_${role}_IDENT`], { tolerate: [128] });
  if (result.code === 0) return text(result.stdout).trimEnd();
  throw new ToolError("refused", "git does not know who commits here", {
    hint: 'Tell it with: git config --global user.name "YOUR NAME"; ' +
      "git config --global user.email YOU@EXAMPLE.ORG",
    // What git says before its last line is advice, which is the hint's.
    details: result.stderr.trimEnd().split("\n").at(-1) ?? "",
  });
}

function isConfigured(role: string, configuration: Configuration): boolean {
  return ["name", "email"].every((item) => {
    const variable = Deno.env.get(`GIT_${role}_${item.toUpperCase()}`);
    const value = variable ?? configuration.get(`${role.toLowerCase()}.${item}`) ??
      configuration.get(`user.${item}`);
    // git drops these characters at the ends and refuses what is empty then (git 2.39, ident.c).
    return value !== undefined && value.replace(/^[\s.,:;<>"\\']+|[\s.,:;<>"\\']+$/g, "") !== "";
  });
}
