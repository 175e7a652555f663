import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { type DatasetKind, jobIdIn, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, jobsSubmittedBelow, useCluster } from "../support/real_slurm.ts";

useCluster();

const COUNT = 16;
const names = Array.from({ length: COUNT }, (_, index) => `out/${index}`);
const kinds: readonly DatasetKind[] = ["git", "text2git"];

for (const kind of kinds) {
  Deno.test({
    name:
      `${COUNT} schedules at once, then ${COUNT} finishes, beside the user's own commits: ${kind}`,
    async fn() {
      await using dataset = await TestDataset.make({ kind });
      const base = await dataset.git("rev-parse", "HEAD");
      await using work = workOn(dataset);
      const ids = await Promise.all(
        names.map((name) => dataset.schedule(["-o", name, "sbatch", "write.sh", name])),
      );
      await jobsAreOver(ids);
      await Promise.all(ids.map(async (id, index) => {
        const next = ids[(index + 1) % COUNT] ?? "";
        const args = index % 2 === 0 ? ["finish"] : ["finish", id, next];
        const { code, stderr } = await dataset.tool(args);
        // 1: another one was faster with one of the named jobs.
        assert(code === 0 || code === 1 && args.length > 1, `${code}: ${stderr}`);
      }));
      const others = await work.stop();
      assert(others.length > 0);
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), ids.toSorted((a, b) => +a - +b));
      await checkDataset(dataset, {
        base,
        others,
        finished: Object.fromEntries(
          ids.map((id, index) => [id, written(id, [names[index] ?? ""])]),
        ),
      });
    },
  });
}

/** Runs a program until it succeeds, which must be soon. */
async function insist(dataset: TestDataset, argv: readonly string[]): Promise<void> {
  for (let attempt = 1;; attempt++) {
    const { code, stdout, stderr } = await dataset.run(argv);
    if (code === 0) return;
    if (attempt === 100) throw new Error(`${argv.join(" ")} failed: ${stderr}${stdout}`);
  }
}

/** Commits files of the user's own, one after the other, until it is stopped. */
function workOn(dataset: TestDataset) {
  let wanted = true;
  const work = (async () => {
    const subjects: string[] = [];
    for (let number = 1; wanted && number <= 40; number++) {
      const name = `mine-${number}`;
      await dataset.write(name, name);
      // The user's git waits for no lock, neither of the index nor of the branch, and tries again.
      await insist(dataset, ["git", "add", name]);
      await insist(dataset, ["git", "commit", "-q", "-m", name, "--", name]);
      subjects.push(name);
    }
    return subjects;
  })();
  const stop = async () => {
    wanted = false;
    return await work;
  };
  return { stop, [Symbol.asyncDispose]: async () => void await stop() };
}

Deno.test({
  name: "of many schedules at once that want the same output, one submits",
  async fn() {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const results = await Promise.all(
      Array.from(
        { length: 8 },
        (_, index) =>
          dataset.tool([
            "schedule",
            "-o",
            index % 2 ? "out" : "out/a",
            "sbatch",
            "-H",
            "write.sh",
            "x",
          ]),
      ),
    );
    const won = results.filter(({ code }) => code === 0);
    assert.equal(won.length, 1);
    const id = jobIdIn(won[0]?.stdout ?? "");
    for (const { code, stderr } of results) {
      if (code === 0) continue;
      assert.equal(code, 1);
      assert.match(stderr, /is held by (?:the open job|a job that is being submitted)/);
    }
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    await checkDataset(dataset, { base, open: [id] });
  },
});
