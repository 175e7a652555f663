import assert from "node:assert/strict";
import { run, type RunOptions, type RunResult, text } from "../../lib/process/run.ts";
import { acquireCluster, type Cluster, clusterObstacle, down, isUp, up } from "./cluster.ts";
import { clusterProcesses, killProcesses } from "./processes.ts";
import { slurmConfPath } from "./config.ts";

const ignore = clusterObstacle() !== undefined;
let cluster: Cluster;
let directory = "";

Deno.test.beforeAll(async () => {
  if (ignore) return;
  cluster = await acquireCluster();
  directory = await Deno.makeTempDir();
  await Deno.chmod(directory, 0o777);
});

Deno.test.afterAll(async () => {
  if (ignore) return;
  await Deno.remove(directory, { recursive: true });
  await cluster.release();
});

async function slurm(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await run(argv, { cwd: directory, ...options, env: { ...clean, ...cluster.env } });
  assert.equal(result.code, 0, result.stderr);
  return result;
}

/** The caller's own Slurm settings must not change what is tested. */
const clean = Object.fromEntries(
  Object.keys(Deno.env.toObject())
    .filter((name) => /^(?:SLURM|SBATCH|SACCT|SQUEUE)_/.test(name))
    .map((name) => [name, undefined]),
);

/** Submits a job, waits for its end, and returns what it wrote. */
async function outputOf(script: string, prefix: readonly string[] = []): Promise<string> {
  const argv = [...prefix, "sbatch", "--parsable", "--wait", "--output=%j.out", "--wrap", script];
  const id = text((await slurm(argv)).stdout).trim();
  return await Deno.readTextFile(`${directory}/${id}.out`);
}

/** Asks the accounting until it has an answer for the job, which it gets some seconds late. */
async function accounted(id: string, field: string): Promise<string> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline;) {
    const result = await slurm(["sacct", "-nXP", "-j", id, "-o", field]);
    const value = text(result.stdout).trim();
    if (value !== "" && !/^(?:PENDING|RUNNING|COMPLETING)$/.test(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`sacct has no ${field} of job ${id}`);
}

Deno.test({
  name: "a job of root runs",
  ignore,
  async fn() {
    assert.equal(await outputOf("id -u"), "0\n");
  },
});

Deno.test({
  name: "a job of an ordinary user runs as that user",
  ignore,
  async fn() {
    const prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    assert.equal(await outputOf("id -u", prefix), "65534\n");
  },
});

Deno.test({
  name: "sacct tells the state and the comment of a job",
  ignore,
  async fn() {
    const submitted = await slurm(
      ["sbatch", "--parsable", "--comment=a token", "--output=/dev/null", "--wrap", "exit 3"],
    );
    const id = text(submitted.stdout).trim();
    assert.equal(await accounted(id, "State"), "FAILED");
    assert.equal(await accounted(id, "Comment"), "a token");
  },
});

Deno.test({
  name: "an array may have the index 20000",
  ignore,
  async fn() {
    const submitted = await slurm(
      ["sbatch", "--parsable", "--hold", "--array=20000", "--output=/dev/null", "--wrap", "true"],
    );
    await slurm(["scancel", text(submitted.stdout).trim()]);
  },
});

Deno.test({
  name:
    "a second cluster starts beside the first, survives a dead daemon, and vanishes with its jobs",
  ignore,
  async fn() {
    const parent = await Deno.makeTempDir();
    await Deno.chmod(parent, 0o755);
    const second = `${parent}/second`;
    const conf = slurmConfPath(second);
    const processes = () => clusterProcesses(second, conf);
    try {
      assert.equal(await up(second), true);
      assert.equal(await up(second), false, "It was started although it was up");
      const env = { ...clean, SLURM_CONF: conf };
      const job = "trap '' TERM; env -i sleep 1000; sleep 1000";
      await run(["sbatch", "--output=/dev/null", "--wrap", job], { cwd: parent, env });

      const slurmctld = Number(await Deno.readTextFile(`${second}/slurmctld.pid`));
      await killProcesses(() => processes().filter(({ pid }) => pid === slurmctld));
      assert.equal(await isUp(second), false);
      assert.equal(await up(second), true);

      await down(second);
      assert.deepEqual(processes(), []);
      assert.deepEqual([...Deno.readDirSync(parent)], []);
      assert.equal(await isUp(cluster.dir), true);
    } finally {
      await down(second);
      await Deno.remove(parent, { recursive: true });
    }
  },
});
