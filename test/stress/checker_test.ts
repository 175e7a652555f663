/**
 * The checkers, which the whole suite relies on, find what they are there for: each kind of damage is
 * planted in a dataset that is in order. They use nothing of the tool's own code.
 */
import assert from "node:assert/strict";
import { checkDataset, type ExpectedHistory, written } from "../support/checker.ts";
import { TestDataset } from "../support/dataset.ts";
import { jobsAreOver, useCluster } from "../support/real_slurm.ts";
import { survey } from "./survival.ts";

useCluster();

/** A dataset in order, with a job that is open and one that is finished. */
interface InOrder extends AsyncDisposable {
  readonly dataset: TestDataset;
  readonly expected: ExpectedHistory;
  readonly open: string;
  readonly finished: string;
}

async function inOrder(): Promise<InOrder> {
  const dataset = await TestDataset.make();
  const base = await dataset.git("rev-parse", "HEAD");
  const finished = await dataset.schedule(["-o", "done", "sbatch", "write.sh", "done"]);
  const open = await dataset.schedule(["-o", "held", "sbatch", "-H", "write.sh", "held"]);
  await jobsAreOver([finished]);
  assert.equal((await dataset.tool(["finish"])).code, 8);
  const expected = { base, open: [open], finished: { [finished]: written(finished, ["done"]) } };
  await checkDataset(dataset, expected);
  await survey(dataset);
  const dispose = () => dataset[Symbol.asyncDispose]();
  return { dataset, expected, open, finished, [Symbol.asyncDispose]: dispose };
}

/** Makes a commit of everything that is in the work tree in the place of the last one. */
async function amend(dataset: TestDataset): Promise<void> {
  await dataset.git("add", "-A");
  await dataset.git("commit", "-q", "--amend", "--no-edit");
}

interface Damage {
  readonly plant: (now: InOrder) => Promise<unknown>;
  /** What the checker says of it; undefined where it does not look at this. */
  readonly checker: RegExp | undefined;
  readonly survey: RegExp | undefined;
}

const store = ({ dataset }: InOrder) => `${dataset.root}/.git/datalad-slurm`;

const DAMAGES: Readonly<Record<string, Damage>> = {
  "a record that is lost": {
    plant: ({ dataset, expected }) => dataset.git("reset", "-q", "--hard", expected.base),
    checker: /one schedule commit/,
    survey: /Recorded jobs and accepted jobs/,
  },
  "a finish that is lost": {
    plant: ({ dataset }) => dataset.git("reset", "-q", "--hard", "HEAD~"),
    checker: /one finish commit/,
    survey: /The reservations/,
  },
  "a record that is there twice": {
    plant: async ({ dataset, open }) => {
      const message = await dataset.git("log", "-1", "--format=%B", `--grep=job ${open}:`);
      await dataset.git("commit", "-q", "--allow-empty", "-m", message);
    },
    checker: /one schedule commit/,
    survey: /Commits that are there twice/,
  },
  "a finish that is there twice": {
    plant: async ({ dataset }) => {
      const message = await dataset.git("log", "-1", "--format=%B");
      await dataset.git("commit", "-q", "--allow-empty", "-m", message);
    },
    checker: /The paths that .* changes/,
    survey: /Commits that are there twice/,
  },
  "a foreign file in a finish commit": {
    plant: async ({ dataset }) => {
      await dataset.write("foreign", "foreign\n");
      await amend(dataset);
    },
    checker: /The paths that .* changes/,
    survey: undefined,
  },
  "a file that is missing from a finish commit": {
    plant: async ({ dataset }) => {
      await dataset.git("rm", "-q", "--cached", "done");
      await dataset.git("commit", "-q", "--amend", "--no-edit");
    },
    checker: /The paths that .* changes/,
    survey: undefined,
  },
  "a byte that differs": {
    plant: async ({ dataset }) => {
      await dataset.write("done", "result of dome\n");
      await amend(dataset);
    },
    checker: /"done" in \[DATALAD FINISH\]/,
    survey: undefined,
  },
  "another mode": {
    plant: async ({ dataset }) => {
      await Deno.chmod(`${dataset.root}/done`, 0o755);
      await amend(dataset);
    },
    checker: /"done" in \[DATALAD FINISH\]/,
    survey: undefined,
  },
  "a file that was left in the work tree": {
    plant: ({ dataset }) => dataset.write("left", ""),
    checker: /git status/,
    survey: undefined,
  },
  "a schedule commit that changes a file": {
    plant: async ({ dataset, open }) => {
      const record = await dataset.git("log", "-1", "--format=%B", `--grep=job ${open}:`);
      const finish = await dataset.git("log", "-1", "--format=%B");
      const tree = await dataset.git("rev-parse", "HEAD^{tree}");
      const first = await dataset.git("rev-parse", "HEAD~2");
      const scheduled = await dataset.git("commit-tree", tree, "-p", first, "-m", record);
      const done = await dataset.git("commit-tree", tree, "-p", scheduled, "-m", finish);
      await dataset.git("reset", "-q", "--hard", done);
    },
    checker: /changes a file|The paths that .* changes/,
    survey: undefined,
  },
  "an object that is damaged": {
    plant: async ({ dataset }) => {
      const object = await dataset.git("rev-parse", "HEAD:done");
      const path = `${dataset.root}/.git/objects/${object.slice(0, 2)}/${object.slice(2)}`;
      await Deno.chmod(path, 0o644);
      await Deno.writeTextFile(path, "damaged");
    },
    checker: /ended with|"done" in/,
    survey: undefined,
  },
  "a lock that was left": {
    plant: (now) => Deno.mkdir(`${store(now)}/lock/L/somebody~working`, { recursive: true }),
    checker: /The repository lock/,
    survey: /The repository lock/,
  },
  "a ticket that was left": {
    plant: (now) => Deno.mkdir(`${store(now)}/lock/q/000000000000001-somebody`),
    checker: /The repository lock/,
    survey: /The repository lock/,
  },
  "a lock of git's that was left": {
    plant: ({ dataset }) => Deno.writeTextFile(`${dataset.root}/.git/HEAD.lock`, ""),
    checker: /Files in \.git/,
    survey: /Files of git/,
  },
  "a ref that was left": {
    plant: ({ dataset }) =>
      dataset.git("update-ref", "refs/datalad-slurm/finishing/0123456789ab", "HEAD"),
    checker: /Refs/,
    survey: /Refs/,
  },
  "a journal entry that was left": {
    plant: (now) => Deno.mkdir(`${store(now)}/journal/0123456789ab`),
    checker: /The journal/,
    survey: /The journal/,
  },
  "a reservation that was left": {
    plant: (now) => Deno.symlink("0123456789ab", `${store(now)}/reservations/main/=/=other`),
    checker: /The reservations/,
    survey: /The reservations/,
  },
  "a reservation that is lost": {
    plant: (now) => Deno.remove(`${store(now)}/reservations/main/=/=held`),
    checker: /The reservations/,
    survey: /The reservations/,
  },
  "a draft of the index that was left": {
    plant: (now) => Deno.writeTextFile(`${store(now)}/index-0123456789ab`, ""),
    checker: /Ours/,
    survey: /Ours/,
  },
};

Deno.test({
  name: "the checkers find all damage that they are there for",
  async fn(t) {
    await using sound = await inOrder();
    for (const [what, damage] of Object.entries(DAMAGES)) {
      await t.step(what, async () => {
        const root = `${sound.dataset.scratch.directory}/${what.replaceAll(/\W/g, "-")}`;
        await sound.dataset.run(["cp", "-a", sound.dataset.root, root]);
        const dataset = sound.dataset.at(root);
        await damage.plant({ ...sound, dataset });
        const found = [
          [damage.checker, () => checkDataset(dataset, sound.expected)],
          [damage.survey, () => survey(dataset)],
        ] as const;
        for (const [words, look] of found) {
          if (words === undefined) continue;
          const error = await look().then(() => undefined, (error: Error) => error);
          assert.match(error?.message ?? "nothing was found", words);
        }
      });
    }
  },
});

Deno.test("the checkers use nothing of the tool's own code", () => {
  for (const file of ["../support/checker.ts", "./survival.ts"]) {
    const text = Deno.readTextFileSync(new URL(file, import.meta.url));
    assert.doesNotMatch(text, /\/lib\/|runTool|\.tool\(|\.succeed\(|\.schedule\(/, file);
  }
});
