import assert from "node:assert/strict";
import { changesOf, checkNothingIsLeft } from "../support/checker.ts";
import { TestDataset } from "../support/dataset.ts";
import { jobsAreOver, useCluster } from "../support/real_slurm.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";

useCluster();

/** Runs the tool and returns the most memory that it or a program it started had, in MiB. */
async function peakMemory(dataset: TestDataset, ...args: string[]): Promise<number> {
  const measure = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); " +
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)";
  const { code, stdout, stderr } = await dataset.run(
    ["python3", "-c", measure, ...toolArgv(), ...args],
    { env: toolEnvironment() },
  );
  assert.equal(code, 0, stderr);
  return Number(stdout.trimEnd().split("\n").at(-1)) / 1024;
}

Deno.test({
  name: "a nested directory of 10,000 files is one commit, and the user's changes stay",
  async fn() {
    await using dataset = await TestDataset.make();
    const lines = "for a in $(seq 100); do mkdir -p out/$a/deep; " +
      "for b in $(seq 100); do echo $a.$b >out/$a/deep/$b; done; done";
    await dataset.write("job.sh", `#!/bin/sh\nset -e\n${lines}\n`);
    await dataset.commit("Job");
    await dataset.write("mine", "staged\n");
    await dataset.git("add", "mine");
    const id = await dataset.schedule(["-o", "out", "sbatch", "job.sh"]);
    await jobsAreOver([id]);
    const start = performance.now();
    await dataset.succeed(["finish"]);
    const seconds = (performance.now() - start) / 1000;
    assert.ok(seconds < 30, `${seconds} s`);
    const changes = await changesOf(dataset, "HEAD");
    assert.equal(changes.size, 10_002);
    assert.ok(changes.has("out/100/deep/37"));
    assert.equal(await dataset.git("status", "--porcelain"), "A  mine");
    await checkNothingIsLeft(dataset);
  },
});

Deno.test({
  name: "a file of 2 GiB is annexed with flat memory",
  async fn() {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const id = await dataset.schedule([
      ...["-o", "large", "sbatch", "--wrap", "truncate -s 2G large"],
    ]);
    await jobsAreOver([id]);
    const mebibytes = await peakMemory(dataset, "finish");
    assert.ok(mebibytes < 500, `${mebibytes} MiB`);
    assert.equal(await dataset.git("annex", "find", "--format=${bytesize}", "large"), `${2 ** 31}`);
    assert.equal(await dataset.git("status", "--porcelain"), "");
    await dataset.git("fsck", "--strict");
  },
});
