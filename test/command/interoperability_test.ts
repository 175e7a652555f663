import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { jobsAreOver, useCluster } from "../support/real_slurm.ts";

useCluster();

const hasDatalad = await new Deno.Command("which", { args: ["datalad"], stdout: "null" }).output()
  .then(({ success }) => success, () => false);

concurrently(!hasDatalad, {
  "a dataset made by datalad stays one: clean, and its outputs can be had from a clone":
    async () => {
      await using dataset = await TestDataset.make({ empty: true });
      const datalad = async (...args: string[]) => {
        const { code, stdout, stderr } = await dataset.run(["datalad", "-l", "error", ...args]);
        assert.equal(code, 0, stderr);
        return stdout;
      };
      await datalad("create", "--force", ".");
      await dataset.write(
        "write.sh",
        await Deno.readTextFile(
          new URL("../../fixtures/scripts/write.sh", import.meta.url),
        ),
      );
      await datalad("save", "-m", "Script");
      const base = await dataset.git("rev-parse", "HEAD");
      const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out/a", "out/b"]);
      await jobsAreOver([id]);
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, { base, finished: { [id]: written(id, ["out/a", "out/b"]) } });
      assert.equal(await datalad("status"), "nothing to save, working tree clean\n");
      const clone = `${dataset.scratch.directory}/clone`;
      await datalad("clone", dataset.root, clone);
      await assert.rejects(Deno.stat(`${clone}/out/a`), Deno.errors.NotFound);
      await datalad("get", "-d", clone, `${clone}/out`);
      assert.equal(await Deno.readTextFile(`${clone}/out/a`), "result of out/a\n");
      assert.equal(await Deno.readTextFile(`${clone}/out/b`), "result of out/b\n");
    },
});
