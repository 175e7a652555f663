import assert from "node:assert/strict";
import { isThere } from "../../lib/files.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { isAsShown, readSections, type Section, type ShownCommand } from "../support/document.ts";
import {
  cancelJobsBelow,
  jobsAreOver,
  jobsSubmittedBelow,
  noRealSlurm,
  useCluster,
} from "../support/real_slurm.ts";
import { linkTool } from "../support/tool.ts";

useCluster();

/** Command lines that documents show and that are not run here, each with the reason. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "datalad-slurm schedule --auto-finish -o steps/1 sbatch step.sh 1": "see batch_scripts_test.ts",
  [
    "datalad-slurm schedule --batch sweep.csv -o 'out/{name}' \\\n" +
    "    sbatch --job-name=sweep run.sh '{name}' '{rate}'"
  ]: "see batch_scripts_test.ts",
  [
    "datalad-slurm schedule --auto-finish -o best \\\n" +
    "    sbatch --job-name=sweep --dependency=singleton collect.sh"
  ]: "see batch_scripts_test.ts",
  "make demo": "see stand_in_test.ts",
  "make test": "is what runs this",
  "make build": "test/binary builds the executable",
  "make install PREFIX=$HOME/sw": "test/binary installs the executable",
};

/** What is there before the first command of each section, besides the scripts it shows. */
const FILES: Readonly<Record<string, string>> = {
  "input.txt": "pear\napple\nfig\nquince\n",
};

const DOCUMENTS = ["README.md", "lib/cli/guide.md"];

const root = new URL("../../", import.meta.url);

const tests: Record<string, () => Promise<void>> = {};
const unused = new Set(Object.keys(NOT_RUN));
const complaints: string[] = [];

for (const document of DOCUMENTS) {
  for (const section of readSections(Deno.readTextFileSync(new URL(document, root)))) {
    for (const { text, line } of section.unmarked) {
      complaints.push(`${document}:${line}: write "$ " in front of: ${text}`);
    }
    const commands = section.commands.filter((shown) => {
      const command = withoutComment(shown.command);
      unused.delete(command);
      return NOT_RUN[command] === undefined;
    });
    if (commands.length === 0) continue;
    tests[`${document}, ${section.heading}: the commands do what is shown`] = () =>
      runSection(document, { ...section, commands });
  }
}

Deno.test("every command line that a document shows is run or listed with a reason", () => {
  assert.deepEqual(complaints, []);
  assert.deepEqual([...unused], [], "These are listed here and shown nowhere");
  assert(Object.keys(tests).length > 0);
});

concurrently(noRealSlurm, tests);

/** Runs the commands of a section one after the other, in a dataset of its own. */
async function runSection(document: string, { commands }: Section): Promise<void> {
  await using dataset = await TestDataset.make({ kind: "text2git", empty: true });
  const bin = `${dataset.scratch.directory}/bin`;
  await Deno.mkdir(bin);
  await linkTool(`${bin}/datalad-slurm`);
  dataset.env["PATH"] = `${bin}:${dataset.env["PATH"]}`;
  // What `cat` shows before anything is submitted is what the reader has written.
  for (const [path, content] of Object.entries({ ...FILES, ...shownFiles(commands) })) {
    await dataset.write(path, content);
    if (path.endsWith(".sh")) await Deno.chmod(`${dataset.root}/${path}`, 0o755);
  }
  await dataset.commit("Input and scripts");
  for (const shown of commands) {
    const { command, output, line } = shown;
    if (/\bdatalad-slurm (?:slurm-)?finish\b/.test(command)) {
      await jobsAreOver(await jobsSubmittedBelow(dataset.root));
    }
    const written = writtenByReader(shown);
    if (written !== undefined && !isThere(`${dataset.root}/${written}`)) {
      await dataset.write(written, textOf(shown));
    }
    const ran = await dataset.run(["bash", "-c", `exec 2>&1\n${command}`]);
    const where = `${document}:${line}: ${command}\n${ran.stdout}`;
    assert.equal(ran.code, exitCodeOf(shown), where);
    if (output.length === 0) continue;
    const real = ran.stdout.replace(/\n+$/, "").split("\n");
    // How far a job is when its state is asked for is nothing to rely on.
    const settled = (lines: readonly string[]) =>
      / status| --list-open-jobs/.test(command)
        ? lines.map((l) => l.replaceAll("Complete", "Running"))
        : lines;
    assert(
      isAsShown(settled(output), settled(real)),
      `${where}\nis shown as\n${output.join("\n")}`,
    );
  }
  await cancelJobsBelow(dataset.scratch.directory);
}

/** Whoever shows that something fails shows that it does. */
function exitCodeOf({ output }: ShownCommand): number {
  return output.some((line) => /^Error: |: Failed.*, left open$/.test(line)) ? 1 : 0;
}

/** Returns the name of a file that the reader has at the top of the dataset, if that is shown. */
function writtenByReader({ command }: ShownCommand): string | undefined {
  return /^cat ([\w.-]+)$/.exec(command)?.[1];
}

function textOf({ output }: ShownCommand): string {
  return output.map((line) => `${line}\n`).join("");
}

/** Returns the files that are shown before anything is submitted. */
function shownFiles(commands: readonly ShownCommand[]): Record<string, string> {
  const files: Record<string, string> = {};
  for (const shown of commands) {
    const path = writtenByReader(shown);
    if (path === undefined) break;
    files[path] ??= textOf(shown);
  }
  return files;
}

function withoutComment(command: string): string {
  return command.replace(/ +# .*$/, "");
}
