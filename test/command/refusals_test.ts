import assert from "node:assert/strict";
import { checkDataset } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetOptions, TestDataset } from "../support/dataset.ts";
import { jobsSubmittedBelow, useCluster } from "../support/real_slurm.ts";

useCluster();

/** One command line that must be refused before anything is submitted. */
interface Refusal {
  readonly options?: DatasetOptions;
  /** Prepares the dataset. */
  readonly before?: (dataset: TestDataset) => Promise<void>;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly in?: string;
  readonly code: number;
  /** What stderr must say. */
  readonly says: readonly RegExp[];
}

const sbatch = ["sbatch", "write.sh", "out"];

const refusals: Record<string, Refusal> = {
  "a directory that is no dataset": {
    args: ["-d", "..", "-o", "out", ...sbatch],
    code: 1,
    says: [/Error: No dataset at ".*", nor above it/, /Hint: .*-d/],
  },
  "a directory that is not there": {
    args: ["-d", "/nonexistent/place", "-o", "out", ...sbatch],
    code: 1,
    says: [/^Error: There is no directory "\/nonexistent\/place"\n$/],
  },
  "a batch script that is not there": {
    args: ["-o", "out", "sbatch", "--time=1", "nosuch.sh", "out"],
    code: 1,
    says: [/^Error: There is no batch script "nosuch\.sh"\nHint: .*current directory\n$/],
  },
  "a batch script that is not there, in a dry run": {
    args: ["--dry-run", "-o", "out", "sbatch", "scripts/nosuch.sh"],
    code: 1,
    says: [/There is no batch script "scripts\/nosuch\.sh"/],
  },
  "an input that is not there, in a dry run": {
    args: ["--dry-run", "-i", "nope", "-o", "out", ...sbatch],
    code: 1,
    says: [/^Error: The input "nope" does not exist\nHint: .*--assume-ready inputs/],
  },
  "a dataset that has no commit yet": {
    options: { empty: true },
    args: ["-o", "out", ...sbatch],
    code: 1,
    says: [/has no commit$/m, /Hint: .*datalad save/],
  },
  "a missing identity": {
    before: async (dataset) => {
      await Deno.writeTextFile(
        `${dataset.scratch.directory}/home/.gitconfig`,
        "[user]\n\tuseConfigOnly = true\n",
      );
    },
    args: ["-o", "out", ...sbatch],
    code: 1,
    says: [/^Error: git does not know who commits here\n {2}fatal: .*\nHint: .*user\.name.*\n$/],
  },
  "an output outside the dataset": {
    args: ["-o", "../out", ...sbatch],
    code: 1,
    says: [/The output "\.\.\/out" is outside the dataset/],
  },
  "an absolute output outside the dataset": {
    args: ["-o", "/out", ...sbatch],
    code: 1,
    says: [/The output "\/out" is outside the dataset/],
  },
  "an output inside .git": {
    args: ["-o", ".git/out", ...sbatch],
    code: 1,
    says: [/The output "\.git\/out" is inside \.git/],
  },
  "an output behind a link that leads outside": {
    before: async (dataset) => {
      await Deno.symlink(dataset.scratch.directory, `${dataset.root}/link`);
      await dataset.commit("Link");
    },
    args: ["-o", "link/out", ...sbatch],
    code: 1,
    says: [/The output "link\/out" is outside the dataset/],
  },
  "an output that is a link to a directory outside": {
    before: async (dataset) => {
      await Deno.symlink(dataset.scratch.directory, `${dataset.root}/link`);
      await dataset.commit("Link");
    },
    args: ["-o", "link", ...sbatch],
    code: 1,
    says: [
      /^Error: The output "link" is a link to the directory ".*", which is outside the dataset$/m,
      /^Hint: .* put a directory in place of the link/m,
    ],
  },
  "an output that is a link to a directory inside .git": {
    before: async (dataset) => {
      await Deno.symlink(".git/info", `${dataset.root}/link`);
      await dataset.commit("Link");
    },
    args: ["-o", "link", ...sbatch],
    code: 1,
    says: [/^Error: The output "link" is a link to the directory ".*", which is inside \.git$/m],
  },
  "a glob that is expanded to a link to a directory outside": {
    before: async (dataset) => {
      await Deno.symlink(dataset.scratch.directory, `${dataset.root}/link`);
      await dataset.commit("Link");
    },
    args: ["--expand", "outputs", "-o", "li*", ...sbatch],
    code: 1,
    says: [/The output "link" is a link to the directory ".*", which is outside the dataset/],
  },
  "an output behind a link to itself": {
    before: async (dataset) => {
      await Deno.symlink("loop", `${dataset.root}/loop`);
      await dataset.commit("Link");
    },
    args: ["-o", "loop/x", ...sbatch],
    code: 1,
    says: [/^Error: The output "loop\/x" leads through symbolic links without end\nHint: /],
  },
  "an output with a name that no file can have": {
    args: ["-o", "x".repeat(256), ...sbatch],
    code: 1,
    says: [
      /^Error: The output "x{256}" is longer than the path of a file can be\nHint: .*255 bytes/,
    ],
  },
  "an output in a directory with a name that none can have": {
    args: ["-o", `${"é".repeat(128)}/*.csv`, ...sbatch],
    code: 1,
    says: [/^Error: The output "é{128}\/\*\.csv" is longer than the path of a file can be\nHint: /],
  },
  "an input with a name that no file can have": {
    args: ["-i", `in/${"x".repeat(256)}`, "-o", "out", ...sbatch],
    code: 1,
    says: [/^Error: The input "in\/x{256}" is longer than the path of a file can be\nHint: /],
  },
  "an input outside the dataset": {
    args: ["-i", "../in", "-o", "out", ...sbatch],
    code: 1,
    says: [/The input "\.\.\/in" is outside the dataset/],
  },
  "an empty output": {
    args: ["-o", "", ...sbatch],
    code: 1,
    says: [/The output is empty/],
  },
  "no output at all": {
    args: ["sbatch", "write.sh", "out"],
    code: 2,
    says: [/No output is declared/, /Hint: .*-o/],
  },
  "an output behind the command, which gets it": {
    args: ["sbatch", "write.sh", "-o", "out"],
    code: 2,
    says: [/No output is declared/, /Hint: .* goes to it; .* before: schedule -o PATH … COMMAND/],
  },
  "an option of schedule behind the command": {
    args: ["-o", "out", "sbatch", "write.sh", "out", "--dry-run"],
    code: 2,
    says: [/--dry-run stands behind the command/, /Hint: .* -- sbatch …/],
  },
  "no command": {
    args: ["-o", "out"],
    code: 2,
    says: [/The command is empty/],
  },
  "an unknown placeholder": {
    args: ["-o", "out", "sbatch write.sh {outpts}"],
    code: 1,
    says: [/unknown placeholder "{outpts}"/, /Hint: .*{outputs}/],
  },
  "a placeholder for an item that is not there": {
    args: ["-o", "out", "sbatch write.sh {outputs[1]}"],
    code: 1,
    says: [/asks for an item that is not there/],
  },
  "a lone brace": {
    args: ["-o", "out", "sbatch --wrap 'echo }'"],
    code: 1,
    says: [/The command has a single "}"/, /Hint: .*twice/],
  },
  "a command that submits nothing": {
    args: ["-o", "out", "echo to stdout; echo to stderr >&2"],
    code: 1,
    says: [/The command submitted no job/, /to stdout/, /to stderr/, /Exit code: 0/],
  },
  "a command that does not exist": {
    args: ["-o", "out", "sbatsch write.sh"],
    code: 3,
    says: [/The command submitted no job/, /sbatsch: not found/, /Exit code: 127/],
  },
  "an sbatch that fails": {
    args: ["-o", "out", "sbatch", "--array=5-1", "write.sh", "out"],
    code: 3,
    says: [/sbatch: error: .*Invalid job array specification/, /Exit code: 1/],
  },
  "a script that is not there, of a command line for the shell": {
    args: ["-o", "out", "sbatch no.sh || exit"],
    code: 3,
    says: [/Unable to open file no\.sh/],
  },
  "sbatch without a script, which would read the terminal": {
    args: ["-o", "out", "sbatch"],
    code: 3,
    says: [/The command gets no stdin/],
  },
  "sbatch --test-only": {
    args: ["-o", "out", "sbatch", "--test-only", "write.sh", "out"],
    code: 1,
    says: [/sbatch --test-only submits nothing/, /Leave --test-only out/],
  },
  "an option that is not there": {
    args: ["--outputs", "out", ...sbatch],
    code: 2,
    says: [/There is no option "--outputs"/, /Perhaps --output is meant/],
  },
};

/** Returns all that a refused command must leave as it was. */
async function stateOf(dataset: TestDataset): Promise<string[]> {
  return [
    (await dataset.run(["git", "for-each-ref"])).stdout,
    (await dataset.run(["git", "status", "--porcelain", "--ignored"])).stdout,
    (await dataset.run(["git", "rev-parse", "HEAD"])).stdout,
    (await dataset.run(["sha1sum", ".git/index"])).stdout,
  ];
}

concurrently(
  false,
  Object.fromEntries(
    Object.entries(refusals).map(([name, refusal]) => [
      `refused, with nothing submitted or changed: ${name}`,
      async () => {
        await using dataset = await TestDataset.make(refusal.options);
        await refusal.before?.(dataset);
        const before = await stateOf(dataset);
        const { code, stdout, stderr } = await dataset.tool(["schedule", ...refusal.args]);
        for (const pattern of refusal.says) assert.match(stderr, pattern);
        assert.equal(code, refusal.code, stderr);
        assert.equal(stdout, "");
        assert.deepEqual(await stateOf(dataset), before);
        assert.deepEqual(await jobsSubmittedBelow(dataset.scratch.directory), []);
        if (refusal.options?.empty !== true) await checkDataset(dataset, { base: "HEAD" });
      },
    ]),
  ),
);

concurrently(false, {
  "an output that an open job holds, one above and one below it are refused by job and path":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      const id = await dataset.schedule(["-o", "a/b", "sbatch", "-H", "write.sh", "a/b"]);
      const commit = (await dataset.git("rev-parse", "HEAD")).slice(0, 10);
      for (
        const [output, what] of [
          ["a/b", 'The output "a/b" is held'],
          ["a", 'The output "a" overlaps with "a/b", which is held'],
          ["a/b/c", 'The output "a/b/c" overlaps with "a/b", which is held'],
          [".", 'The output "." overlaps with "a/b", which is held'],
        ] as const
      ) {
        const { code, stderr } = await dataset.tool([
          "schedule",
          "-o",
          output,
          "sbatch",
          "-H",
          "write.sh",
          "x",
        ]);
        assert.match(
          stderr,
          new RegExp(`Error: ${what} by the open job ${id} \\(commit ${commit}\\)`),
        );
        assert.match(stderr, new RegExp(`Hint: .*datalad-slurm finish ${id}`));
        assert.equal(code, 1);
      }
      const other = await dataset.schedule(["-o", "a/bc", "sbatch", "-H", "write.sh", "a/bc"]);
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id, other]);
      await checkDataset(dataset, { base, open: [id, other] });
    },
  "lost reservations are made anew from history": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
    await Deno.remove(`${dataset.root}/.git/datalad-slurm`, { recursive: true });
    const { code, stderr } = await dataset.tool([
      "schedule",
      "-o",
      "out",
      "sbatch",
      "write.sh",
      "out",
    ]);
    assert.match(stderr, new RegExp(`held by the open job ${id}`));
    assert.equal(code, 1);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    await checkDataset(dataset, { base, open: [id] });
  },
});
