import assert from "node:assert/strict";
import type { TestDataset } from "./dataset.ts";

/** Whether there is no DataLad here to look at datasets with. */
export const noDatalad: boolean = !(Deno.env.get("PATH") ?? "").split(":").some((directory) => {
  try {
    return Deno.statSync(`${directory}/datalad`).isFile;
  } catch {
    return false;
  }
});

/** Runs DataLad, which must succeed, and returns its stdout. */
export async function datalad(dataset: TestDataset, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await dataset.run(["datalad", "-l", "error", ...args]);
  if (code !== 0) {
    throw new Error(`datalad ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  }
  return stdout;
}

/** Clones a dataset with DataLad into the same scratch directory. */
export async function dataladClone(dataset: TestDataset): Promise<TestDataset> {
  const root = `${dataset.scratch.directory}/clone-${crypto.randomUUID().slice(0, 8)}`;
  await datalad(dataset, "clone", dataset.root, root);
  return dataset.at(root);
}

/**
 * Asserts that somebody with DataLad finds nothing odd: `datalad status` reports nothing, and a new
 * clone gets the content of files, subdatasets included. `files` are paths with what they hold.
 */
export async function checkWithDatalad(
  dataset: TestDataset,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  assert.equal(
    (await datalad(dataset, "status", "-r")).trim(),
    "nothing to save, working tree clean",
    "datalad status",
  );
  const clone = await dataladClone(dataset);
  await datalad(clone, "get", ...Object.keys(files));
  for (const [path, content] of Object.entries(files)) {
    assert.equal(await Deno.readTextFile(`${clone.root}/${path}`), content, path);
  }
}

/** What a user has at hand in a dataset while jobs come and go. */
export interface UserWork {
  /** What `git status --porcelain` says of it. */
  readonly status: readonly string[];
  /** Asserts that all of it is byte for byte what it was, in the work tree and in the index. */
  check(): Promise<void>;
}

/** Stages one new file and changes it again, changes a tracked one, and leaves one untracked. */
export async function userWork(dataset: TestDataset): Promise<UserWork> {
  const files = {
    "mine-staged": "staged\n",
    "write.sh": "#!/bin/sh\n# mine\n",
    "mine-new": "new\n",
  };
  await dataset.write("mine-staged", files["mine-staged"]);
  await dataset.git("-c", "annex.largefiles=nothing", "add", "mine-staged");
  await dataset.write("mine-staged", "staged and changed\n");
  await dataset.write("write.sh", files["write.sh"]);
  await dataset.write("mine-new", files["mine-new"]);
  const names = ["mine-staged", "write.sh"];
  const staged = await dataset.git("ls-files", "-s", ...names);
  return {
    status: ["AM mine-staged", " M write.sh", "?? mine-new"],
    async check() {
      assert.equal(await dataset.git("ls-files", "-s", ...names), staged, "What is staged");
      const expected = { ...files, "mine-staged": "staged and changed\n" };
      for (const [path, content] of Object.entries(expected)) {
        assert.equal(await Deno.readTextFile(`${dataset.root}/${path}`), content, path);
      }
    },
  };
}
