import assert from "node:assert/strict";
import { checkNothingIsLeft } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { readSections } from "../support/document.ts";
import { until, useCluster } from "../support/real_slurm.ts";
import { linkTool } from "../support/tool.ts";

useCluster();

const readme = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
const commands = readSections(readme).find(({ heading }) => heading === "In batch scripts")
  ?.commands ?? [];

/** Makes a dataset with the files that README shows, and the tool on PATH. */
async function makeDataset(): Promise<TestDataset> {
  const dataset = await TestDataset.make();
  const bin = `${dataset.scratch.directory}/bin`;
  await Deno.mkdir(bin);
  await linkTool(`${bin}/datalad-slurm`);
  dataset.env["PATH"] = `${bin}:${dataset.env["PATH"]}`;
  for (const { command, output } of commands) {
    const path = /^cat (\S+)$/.exec(command)?.[1];
    if (path !== undefined) await dataset.write(path, output.map((line) => `${line}\n`).join(""));
  }
  await dataset.write("steps/0", "0\n");
  await dataset.commit("What README shows");
  return dataset;
}

/** Runs the command lines of README with a word in them. */
async function runShown(dataset: TestDataset, word: string): Promise<void> {
  const shown = commands.filter(({ command }) =>
    command.startsWith("datalad-slurm") && command.includes(word)
  );
  assert(shown.length > 0, `README shows no command with ${word}`);
  for (const { command } of shown) {
    const { code, stderr } = await dataset.run(["bash", "-c", command]);
    assert.equal(code, 0, stderr);
  }
}

/** Waits until so many jobs have their results in history. */
async function finished(dataset: TestDataset, count: number): Promise<void> {
  for (let done = 1; done <= count; done++) {
    await until(`${done} jobs are finished`, async () => {
      const log = await dataset.git("log", "--format=%s");
      return [...log.matchAll(/^\[DATALAD FINISH\].*: Complete$/gm)].length >= done;
    });
  }
  // The last one that has finished a job goes on for a moment.
  await until(
    "nothing is in flight",
    () => checkNothingIsLeft(dataset).then(() => true, () => false),
  );
}

concurrently(false, {
  "README, In batch scripts: a job schedules the next one of a chain": async () => {
    await using dataset = await makeDataset();
    await runShown(dataset, "step.sh");
    await finished(dataset, 3);
    assert.equal(await dataset.git("show", "HEAD:steps/3"), "0+1+2+3");
    assert.equal(await dataset.git("status", "--porcelain"), "");
    assert.match((await dataset.tool(["status"])).stdout, /^No open jobs/);
  },
  "README, In batch scripts: a job collects the results of a sweep": async () => {
    await using dataset = await makeDataset();
    await runShown(dataset, "--job-name=sweep");
    await finished(dataset, 3);
    assert.equal(await dataset.git("show", "HEAD:best"), "0.9 fast");
    assert.equal(await dataset.git("show", "HEAD:out/slow"), "0.1 slow");
    assert.equal(await dataset.git("status", "--porcelain"), "");
    assert.match((await dataset.tool(["status"])).stdout, /^No open jobs/);
  },
});
