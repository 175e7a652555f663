import assert from "node:assert/strict";
import { optionsOf } from "../../lib/cli/help.ts";
import { allCommands } from "../../lib/cli/commands.ts";

const all = await allCommands();

const root = new URL("../../", import.meta.url);

/** What there is besides the commands' own options; `--array` is sbatch's. */
const GENERAL = ["help", "version", "man", "array"];

/** Returns what a document's text says of options and commands that are not there. */
function complaintsAbout(markdown: string): string[] {
  const found: string[] = [];
  for (const [, span = ""] of markdown.matchAll(/(?<!`)`([^`]+)`(?!`)/g)) {
    const [program, name = ""] = span.split(/\s+/);
    // Other programs have options of their own.
    if (program !== "datalad-slurm" && !span.startsWith("--")) continue;
    // It answers these two as well, though they are no commands of its.
    if (program === "datalad-slurm" && /^(?:help|cancel)$/.test(name)) continue;
    const isNamed = program === "datalad-slurm" && /^[a-z]/.test(name);
    const commands = all.filter((command) =>
      !isNamed || command.name === name || command.aliases.includes(name)
    );
    if (commands.length === 0) found.push(`There is no command in \`${span}\``);
    const options = new Set([
      ...commands.flatMap((command) => optionsOf(command).map((option) => option.name)),
      ...GENERAL,
    ]);
    for (const [, option = ""] of span.matchAll(/(?:^|\s)--([a-z][\w-]*)/g)) {
      if (!options.has(option)) found.push(`There is no option --${option} in \`${span}\``);
    }
  }
  return found;
}

Deno.test("options and commands that README and the guide mention are there", () => {
  for (const document of ["README.md", "lib/cli/guide.md"]) {
    assert.deepEqual(complaintsAbout(Deno.readTextFileSync(new URL(document, root))), [], document);
  }
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
