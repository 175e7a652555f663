import assert from "node:assert/strict";
import { startAgain } from "../cluster/cluster.ts";
import { slurmConfPath } from "../cluster/config.ts";
import { startSecond, stopSecond } from "../cluster/second.ts";
import { letGo, TestDataset } from "./dataset.ts";
import { noRealSlurm, slurm, slurmEnvironment, until, useCluster } from "./real_slurm.ts";

let second: string | undefined;

/** Returns the directory of the first cluster. */
export const directory = () => slurmEnvironment()["SLURM_CONF"]?.replace(/\/[^/]*$/, "") ?? "";

/** Returns the directory of the second cluster. */
export function directoryThere(): string {
  if (second === undefined) throw new Error("useClusters() was not called, or too late");
  return second;
}

/** Sees to it that the tests of a file have two clusters. */
export function useClusters(): void {
  useCluster();
  Deno.test.beforeAll(async () => {
    if (!noRealSlurm) second = await startSecond(directory(), Number(await idHere()));
  });
  Deno.test.afterAll(async () => {
    if (!noRealSlurm) await stopSecond(directory());
  });
}

/** Adds a test with a dataset; the daemons it stops are started and its jobs cancelled at the end. */
export function test(
  name: string,
  fn: (dataset: TestDataset) => Promise<void>,
  ignore = noRealSlurm,
): void {
  Deno.test({
    name,
    ignore,
    async fn() {
      await using dataset = await TestDataset.make();
      try {
        await fn(dataset);
      } finally {
        await startAgain(directory(), "slurmdbd");
        await startAgain(directoryThere(), "slurmctld");
        await cancelBelow(dataset.scratch.directory);
      }
    },
  });
}

/** Uses up a job id of the first cluster, and returns it. */
async function idHere(): Promise<string> {
  return (await slurm("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "true")).trim();
}

/** Uses up a job id of the second cluster, and returns it. */
async function idThere(): Promise<string> {
  const argv = ["sbatch", "--parsable", "-M", "other", "-o", "/dev/null", "--wrap", "true"];
  return (await slurm(...argv)).trim().replace(/;.*$/, "");
}

/** Schedules a job on each of the two clusters that both get one id, and returns it. */
export async function scheduleOnBoth(
  dataset: TestDataset,
  here: readonly string[],
  there: readonly string[],
): Promise<string> {
  // Others may use the first cluster at the same time, but nobody uses the second.
  let last = Number(await idThere());
  while (Number(await idHere()) < last);
  const id = await dataset.schedule(here);
  while (last < Number(id) - 1) last = Number(await idThere());
  const scheduled = await dataset.succeed(["schedule", ...there]);
  assert.match(scheduled, new RegExp(`^Submitted batch job ${id} on cluster other$`, "m"));
  return id;
}

/** Waits until jobs of the second cluster are over, and accounting has them. */
export async function areOverThere(...ids: string[]): Promise<void> {
  await until(`jobs ${ids.join(", ")} of the other cluster are over`, async () => {
    const live = await slurm("squeue", "-M", "other", "--noheader", "--format=%F");
    return !ids.some((id) => live.split(/\s+/).includes(id));
  });
  await until(`accounting has jobs ${ids.join(", ")}`, async () => {
    // At first it may have the end of a job, but no CPUs of its request, and for memory nonsense.
    const rows = await slurm("sacct", "-M", "other", "-nXPj", ids.join(","), "-o", "End,ReqCPUS");
    return rows.match(/^\d[^|]*\|[1-9]/gm)?.length === ids.length;
  });
}

export async function isThere(id: string, state: string): Promise<void> {
  await until(`job ${id} of the other cluster is ${state}`, async () => {
    const row = await slurm("squeue", "-M", "other", "-h", "--states=all", "-j", id, "-o", "%T");
    return row.split("\n").includes(state);
  });
}

/** Cancels what is left on the second cluster of jobs submitted below a directory. */
async function cancelBelow(path: string): Promise<void> {
  const rows = await slurm("squeue", "-M", "other", "--noheader", "--format=%F|%Z");
  const ids = rows.split("\n").map((row) => row.split("|"))
    .flatMap(([id = "", workDir]) => workDir?.startsWith(path) === true ? [id] : []);
  if (ids.length > 0) await slurm("scancel", "-M", "other", ...new Set(ids));
}

/** Returns the row of `status` for a job of the second cluster. */
export async function rowThere(dataset: TestDataset, id: string): Promise<string> {
  const { stdout } = await dataset.tool(["status"]);
  return stdout.split("\n").find((line) => line.includes(` ${id} on other `)) ?? stdout;
}

/** Submits a job that never starts, without a word: only slurmctld knows of it for sure. */
export const HELD = ["sbatch", "-Q", "-M", "other", "--hold", "write.sh", "out"];

/** Takes so many MB; more, and then writes a file, when somebody has written to a named pipe. */
const MEMORY = `#!/bin/sh
exec python3 -c '
import sys
first, more, pipe, file = sys.argv[1:]
held = bytearray(int(first) << 20)
open(pipe).read()
held += bytearray(int(more) << 20)
open(file, "w").write("done")
' "$@"
`;

/** Schedules a job that takes memory, and returns when Slurm has seen at least so many MB of it. */
export async function memoryJob(dataset: TestDataset, asked: number, first: number, more: number) {
  await dataset.write("memory.sh", MEMORY);
  await dataset.commit("A script");
  const pipe = await dataset.pipe("pipe");
  const words = ["-M", "other", `--mem=${asked}M`, "memory.sh", `${first}`, `${more}`, pipe, "out"];
  const id = await dataset.schedule(["-o", "out", "sbatch", ...words]);
  await isThere(id, "RUNNING");
  let said = "";
  await until(`Slurm has seen ${first} MB`, async () => {
    // sstat knows nothing of other clusters.
    const argv = ["sstat", "-nP", "--noconvert", "-j", `${id}.batch`, "-o", "MaxRSS"];
    const env = { SLURM_CONF: slurmConfPath(directoryThere()) };
    const { stdout, stderr } = await dataset.run(argv, { env });
    const live = await slurm("squeue", "-M", "other", "-h", "-j", id, "-o", "%T");
    said = `${stdout}${stderr}${live}`;
    if (!/^RUNNING$/m.test(live)) throw new Error(`Job ${id} is over already: ${said}`);
    return Number(stdout) >= first << 20;
  }).catch((error) => {
    throw new Error(`${error.message}: ${said}`);
  });
  await letGo(pipe);
  await areOverThere(id);
  return id;
}

/** Returns the MiB in what `show` says of a job's memory, and the MiB that were requested. */
export async function memoryShown(dataset: TestDataset, id: string): Promise<[number, string]> {
  const shown = await dataset.succeed(["show", id]);
  const line = /^Memory +([\d.]+) MiB used at most by one task, of (\d+ MiB) requested \(\d+ %\)$/m;
  const [, used, requested = ""] = line.exec(shown) ?? assert.fail(shown);
  return [Number(used), requested];
}
