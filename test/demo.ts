/**
 * Shows the tool at work: `make demo`. On the Slurm cluster that answers, or else the stand-in; in a
 * dataset in a temporary directory that is left for the reader. `demo.ts [EXECUTABLE]`; without one
 * it takes what is built.
 */

import { ToolError } from "../lib/errors.ts";
import { run as runProgram } from "../lib/process/run.ts";

const executable = Deno.args[0] ?? new URL("../dist/datalad-slurm", import.meta.url).pathname;

/** A parameter sweep over real input: word counts of texts, one array task each, then a summary. */
const FILES: Readonly<Record<string, string>> = {
  "texts/1.txt": "the raven and the fox\n",
  "texts/2.txt": "the fox ran and the hare ran\n",
  "texts/3.txt": "a hare sat and looked on\n",
  "count.sh": `#!/bin/bash
#SBATCH --job-name=count
mkdir -p counts
tr -s ' ' '\\n' < "texts/$SLURM_ARRAY_TASK_ID.txt" | sort | uniq -c | sort -rn \\
  > "counts/$SLURM_ARRAY_TASK_ID.txt"
echo "task $SLURM_ARRAY_TASK_ID on $(hostname)"
`,
  "summary.sh": `#!/bin/bash
#SBATCH --job-name=summary
cat texts/*.txt | wc > summary.txt
head -c 100000 /dev/urandom > sample.bin
`,
};

async function main(): Promise<void> {
  const isLocal = Deno.env.get("DATALAD_SLURM") === "local" || !await works(["sinfo"]);
  if (isLocal) {
    console.log(
      "No Slurm cluster answers here, so the jobs run on the tool's own stand-in for it,\n" +
        "which `--slurm local` chooses. `make cluster-up` starts a cluster on this machine (root)",
    );
    Deno.env.set("DATALAD_SLURM", "local");
  }
  const dataset = await makeDataset();
  await showJobs(dataset);
  console.log(
    `
The dataset is ${dataset}
Try next: cd ${dataset}
          ${executable} schedule${isLocal ? " --slurm local" : ""} -o more ` +
      `sbatch --wrap 'mkdir -p more; date > more/now.txt'
          ${executable} status
          ${executable} finish --wait
          git log --stat`,
  );
}

async function makeDataset(): Promise<string> {
  const dataset = await Deno.makeTempDir({ prefix: "datalad-slurm-demo-" });
  // Jobs may run as another user's processes on other nodes; here they need to reach it.
  await Deno.chmod(dataset, 0o755);
  const identity = { GIT_AUTHOR_NAME: "Demo", GIT_AUTHOR_EMAIL: "demo@example.org" };
  for (const [name, value] of Object.entries(identity)) {
    if (!await works(["git", "config", "user.email"])) {
      Deno.env.set(name, value);
      Deno.env.set(name.replace("AUTHOR", "COMMITTER"), value);
    }
  }
  console.log(`\n# A dataset with texts to count words in`);
  if (await works(["datalad", "--version"])) {
    await step(dataset, ["datalad", "create", "-f", "-c", "text2git", "."], { quiet: true });
  } else {
    await step(dataset, ["git", "init", "-q", "."]);
    if (await works(["git", "annex", "version"])) {
      await step(dataset, ["git", "annex", "init", "-q"], { quiet: true });
      // As `-c text2git` has it.
      await Deno.writeTextFile(
        `${dataset}/.gitattributes`,
        "* annex.largefiles=((mimeencoding=binary)and(largerthan=0))\n",
      );
    }
  }
  for (const [path, content] of Object.entries(FILES)) {
    await Deno.mkdir(`${dataset}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${dataset}/${path}`, content);
  }
  await step(dataset, ["git", "add", "."]);
  await step(dataset, ["git", "commit", "-qm", "Texts and the scripts that count their words"]);
  return dataset;
}

async function showJobs(dataset: string): Promise<void> {
  // finish says by its exit code that a job has failed.
  const tool = (...words: string[]) =>
    step(dataset, [executable, ...words], { codes: [0, 1] }, "datalad-slurm");
  console.log("\n# Jobs are submitted and recorded; -o names what they write");
  await tool("schedule", "-i", "texts", "-o", "counts", "sbatch", "--array=1-3", "count.sh");
  await tool("schedule", "-o", "summary.txt", "-o", "sample.bin", "sbatch", "summary.sh");
  await tool("status");
  console.log("\n# When they are over, their results are committed");
  await tool("finish", "--wait", "--timeout=2m");
  console.log("\n# Any recorded job can be run again");
  await tool("reschedule", "HEAD");
  await tool("finish", "--wait", "--timeout=2m");
  console.log("\n# A job that fails stays open until it is said what is to become of it");
  await tool("schedule", "-o", "never", "sbatch", "--wrap", "echo No way >&2; exit 3");
  await tool("finish", "--wait", "--timeout=2m");
  await tool("finish", "--close-failed-jobs");
  console.log("\n# The history: to git, and as the jobs that it records");
  await step(dataset, ["git", "log", "--oneline"]);
  await tool("log");
  console.log("\n# Which job made this file, and what there is to know of it");
  await tool("log", "summary.txt");
  await tool("show", "HEAD~2");
}

/** Shows a command line and runs it. */
async function step(
  directory: string,
  argv: readonly string[],
  options: { quiet?: boolean; codes?: readonly number[] } = {},
  name = argv[0],
): Promise<number> {
  const words = [name, ...argv.slice(1)].map((word = "") =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`
  );
  console.log(`\n$ ${words.join(" ")}`);
  const [program = "", ...args] = argv;
  const { code } = await new Deno.Command(program, {
    args,
    cwd: directory,
    env: { GIT_PAGER: "cat" },
    stdout: options.quiet ? "null" : "inherit",
    stderr: options.quiet ? "null" : "inherit",
  }).output();
  if (!(options.codes ?? [0]).includes(code)) {
    throw new Error(`${words.join(" ")} ended with exit code ${code}`);
  }
  return code;
}

async function works(argv: readonly string[]): Promise<boolean> {
  try {
    return (await runProgram(argv, { timeoutMs: 5000 })).code === 0;
  } catch {
    return false;
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof ToolError)) throw error;
  console.error(`Error: ${error.message}`);
  for (const line of [error.details, error.hint]) if (line !== undefined) console.error(line);
  Deno.exit(1);
}
