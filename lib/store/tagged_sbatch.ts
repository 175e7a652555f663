import { findProgram } from "../process/find_program.ts";
import { quoteWord } from "../record/command.ts";

/**
 * Returns the lines of a shell script that run a command line, with each `sbatch` in it called by a
 * path in the journal entry's directory. Slurm keeps the name a program was called by as the first
 * word of SubmitLine (sacct, from 21.08), so that the job can be found by the entry's token for as
 * long as there is accounting of it; neither the arguments nor the environment of sbatch change.
 *
 * The command stays as it is where sbatch cannot be called like that: a site's wrapper script may
 * look at its own name. With `setsid` the shell becomes the leader of a session of its own, and then
 * the command.
 */
export function tagSbatch(
  directory: string,
  path: string,
  command: string,
  { setsid }: { readonly setsid: boolean },
): string[] {
  const running = setsid ? `exec setsid /bin/sh -c ${quoteWord(command)}` : command;
  const usingPath = path === Deno.env.get("PATH") ? [] : setPath(path);
  const sbatch = findProgram("sbatch", path);
  if (sbatch === undefined || directory.includes(":") || !hasAnyName(sbatch)) {
    return [...usingPath, running];
  }
  const tagged = `${directory}/sbatch`;
  Deno.symlinkSync(sbatch, tagged);
  // Nothing but sbatch and its words: the common case, and the cheapest.
  if (/^sbatch\s[^;&|<>()$`\n]*$/.test(command)) {
    const words = `${quoteWord(tagged)}${command.slice("sbatch".length)}`;
    return [...usingPath, setsid ? `exec setsid ${words}` : `exec ${words}`];
  }
  // What the command starts may call sbatch as well.
  const bin = `${directory}/bin`;
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(
    `${bin}/sbatch`,
    [
      "#!/bin/sh",
      `PATH=\${PATH#${quoteWord(`${bin}:`)}}`,
      `exec ${quoteWord(tagged)} "$@"`,
      "",
    ].join("\n"),
    { mode: 0o755 },
  );
  return [...setPath(`${bin}:${path}`), running];
}

/** Whether the sbatch on PATH is a site's own script, which may read its words in another way. */
export function isSbatchWrapped(): boolean {
  const sbatch = findProgram("sbatch", Deno.env.get("PATH") ?? "");
  return sbatch !== undefined && !hasAnyName(sbatch);
}

function setPath(path: string): string[] {
  return [`PATH=${quoteWord(path)}`, "export PATH"];
}

/** Whether a program works under any name: one that is compiled, or the stand-in's script. */
function hasAnyName(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(64);
    const start = bytes.subarray(0, file.readSync(bytes) ?? 0);
    return start.subarray(0, 4).join() === "127,69,76,70" || // ELF
      new TextDecoder().decode(start).includes("\n# datalad-slurm: the local stand-in");
  } catch {
    return false;
  }
}
