import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { slurm, until } from "../support/real_slurm.ts";

/**
 * Submits a batch of jobs with a finishing job each, lets them all go at the same moment, and asserts
 * that every job was finished with its own file, by them alone.
 */
export async function finishByJobs(
  kind: DatasetKind,
  count: number,
  say: (line: string) => void = () => {},
): Promise<void> {
  await using dataset = await TestDataset.make({ kind });
  const base = await dataset.git("rev-parse", "HEAD");
  const stdin = `n\n${Array.from({ length: count }, (_, index) => index + 1).join("\n")}\n`;
  await dataset.succeed(
    ["schedule", "--auto-finish", "--batch", "-", "-o", "{n}", "sbatch", "-H", "write.sh", "{n}"],
    { stdin },
  );
  const log = await dataset.git("log", "--format=%B", `${base}..HEAD`);
  const outputs = new Map(
    [...log.matchAll(
      /"outputs": \[\n {2}"(\d+)"\n \],\n "pwd": ".",\n "slurm_job_id": "(\d+)"/g,
    )].map(([, output = "", id = ""]) => [id, output]),
  );
  assert.equal(outputs.size, count);
  say(`${kind}: ${count} jobs are submitted`);
  await slurm("scontrol", "release", [...outputs.keys()].join(","));
  const left = async () => {
    const queue = await slurm("squeue", "--noheader", "--format=%Z");
    return queue.split("\n").filter((line) => line.startsWith(dataset.root)).length;
  };
  // As long as they become fewer they are waited for.
  for (let most = await left(); most > 0; most = await left()) {
    await until(`fewer than ${most} jobs of the dataset are left`, async () => await left() < most);
  }
  await checkDataset(dataset, {
    base,
    finished: Object.fromEntries([...outputs].map(([id, output]) => [id, written(id, [output])])),
  });
  assert.deepEqual([...Deno.readDirSync(`${dataset.root}/.git/datalad-slurm/auto-finish`)], []);
  say(`${kind}: ${count} jobs were finished by as many jobs`);
}
