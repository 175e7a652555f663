import assert from "node:assert/strict";
import { COMMANDS } from "../../lib/cli/run.ts";

const root = new URL("../../", import.meta.url);

/** Options of everything, or of one command. */
function optionsOf(name: string | undefined): Set<string> {
  const commands = COMMANDS.filter((command) =>
    name === undefined || command.name === name || command.aliases.includes(name)
  );
  return new Set([
    ...commands.flatMap(({ options }) => options.map((option) => option.name)),
    "help",
    "version",
  ]);
}

/** Returns what a document's text says of options and commands that are not there. */
function complaintsAbout(markdown: string): string[] {
  const found: string[] = [];
  for (const [, span = ""] of markdown.matchAll(/(?<!`)`([^`]+)`(?!`)/g)) {
    const [program, name] = span.split(/\s+/);
    // Other programs have options of their own.
    if (program !== "datalad-slurm" && !span.startsWith("--")) continue;
    const isCommand = program === "datalad-slurm" && /^[a-z]/.test(name ?? "");
    const options = optionsOf(isCommand ? name : undefined);
    if (options.size <= 2 && name !== "help") found.push(`There is no command in \`${span}\``);
    for (const [, option = ""] of span.matchAll(/(?:^|\s)--([a-z][\w-]*)/g)) {
      if (!options.has(option)) found.push(`There is no option --${option} in \`${span}\``);
    }
  }
  return found;
}

Deno.test("options and commands that README mentions are there", () => {
  assert.deepEqual(complaintsAbout(Deno.readTextFileSync(new URL("README.md", root))), []);
});

Deno.test("options and commands that are not there are noticed", () => {
  assert.deepEqual(
    complaintsAbout(
      "`--nope` and `--since`, `datalad-slurm finnish`, `datalad-slurm status --octopus`, " +
        "`datalad-slurm --version`, `sbatch --wrap`, `datalad-slurm finish\n  --octopus`",
    ),
    [
      "There is no option --nope in `--nope`",
      "There is no command in `datalad-slurm finnish`",
      "There is no option --octopus in `datalad-slurm status --octopus`",
    ],
  );
});
