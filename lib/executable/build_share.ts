/**
 * Writes what is installed besides the executable: `build_share.ts OUTPUT`. Man pages, completions
 * for bash, zsh and fish, and the modulefile, in the directories that they have below `share/`.
 */
import { buildInfo } from "./build_info.ts";
import { manPages } from "../cli/manual.ts";
import { allCommands } from "../cli/commands.ts";
import { completionScript } from "../cli/shell_completion.ts";

/** Returns all files with their paths below `share/`. */
export async function sharedFiles(): Promise<Map<string, string>> {
  const commands = await allCommands();
  const files = new Map<string, string>();
  for (const { file, text } of manPages(commands)) {
    files.set(`man/man${file.slice(file.lastIndexOf(".") + 1)}/${file}`, text);
  }
  files.set(
    "bash-completion/completions/datalad-slurm",
    completionScript("bash", commands),
  );
  files.set("zsh/site-functions/_datalad-slurm", completionScript("zsh", commands));
  files.set("fish/vendor_completions.d/datalad-slurm.fish", completionScript("fish", commands));
  files.set(`modulefiles/datalad-slurm/${buildInfo.version}`, MODULEFILE);
  return files;
}

/** `make install` puts the directory in the place of the word in `@`. */
const MODULEFILE = Deno.readTextFileSync(new URL("modulefile.tcl", import.meta.url));

if (import.meta.main) {
  const [output = "dist/share"] = Deno.args;
  await Deno.remove(output, { recursive: true }).catch(() => {});
  for (const [path, text] of await sharedFiles()) {
    const full = `${output}/${path}`;
    await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(full, text);
  }
}
