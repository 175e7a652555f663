/**
 * What `status` and `finish` say while parts of a cluster are down, on a cluster of their own. It is
 * no part of `make test`, since Slurm's programs take their time until they give up: run it with
 * `make test-cluster`.
 */
import assert from "node:assert/strict";
import { letGo, TestDataset } from "../support/dataset.ts";
import {
  jobIs,
  jobsAreOver,
  noRealSlurm,
  slurm,
  slurmEnvironment,
  until,
  useCluster,
} from "../support/real_slurm.ts";
import { Shown, StateTable } from "../support/state_table.ts";
import { clusterDir, configure, startAgain, stopDaemon } from "./cluster.ts";

Deno.env.set("CLUSTER_DIR", `${clusterDir()}-outages`);
useCluster();

const table = new StateTable("While parts of the cluster are down");
Deno.test.afterAll(() => table.write());

const directory = () => slurmEnvironment()["SLURM_CONF"]?.replace(/\/[^/]*$/, "") ?? "";
const stop = (name: "slurmctld" | "slurmdbd") => stopDaemon(directory(), name);
const start = (name: "slurmctld" | "slurmdbd") => startAgain(directory(), name);

async function reconfigured(changes: Readonly<Record<string, string>>): Promise<void> {
  await stop("slurmctld");
  configure(directory(), changes);
  await start("slurmctld");
}

/** A job of a dataset of its own, which ends when it is told to. */
class WaitingJob extends Shown {
  private constructor(dataset: TestDataset, id: string, private readonly pipe: string) {
    super(dataset, id, table);
  }

  static async schedule(dataset: TestDataset, name: string): Promise<WaitingJob> {
    const pipe = await dataset.pipe(name);
    const id = await dataset.schedule(["-o", name, "sbatch", "wait.sh", pipe, name]);
    await jobIs(id, "RUNNING");
    return new WaitingJob(dataset, id, pipe);
  }

  async isAccounted(state: string): Promise<void> {
    await until(`accounting has job ${this.id} as ${state}`, async () => {
      return (await slurm("sacct", "-nXPj", this.id, "-o", "State")).trim() === state;
    });
  }

  /** Ends the job, and returns when slurmctld says so. */
  async end(): Promise<void> {
    await letGo(this.pipe);
    await jobsAreOver([this.id]);
  }

  /** Returns when slurmctld has forgotten the job. */
  async isPurged(): Promise<void> {
    await until(`job ${this.id} is purged`, async () => {
      const all = await slurm("squeue", "--noheader", "--states=all", "--format=%A");
      return !all.split("\n").map((line) => line.trim()).includes(this.id);
    });
  }
}

function test(name: string, fn: (dataset: TestDataset) => Promise<void>): void {
  Deno.test({
    name,
    ignore: noRealSlurm,
    async fn() {
      await using dataset = await TestDataset.make();
      try {
        await fn(dataset);
      } finally {
        await start("slurmdbd");
        await start("slurmctld");
      }
    },
  });
}

test("a job that is preempted is requeued or cancelled, as its partition has it", async (dataset) => {
  const low = (partition: string) =>
    ["-o", partition, "sbatch", "-p", partition, "--exclusive", "--wrap", "sleep 600"] as const;
  const requeued = await dataset.schedule(low("requeued"));
  const cancelled = await dataset.schedule(low("cancelled"));
  for (const id of [requeued, cancelled]) await jobIs(id, "RUNNING");
  const urgent = ["sbatch", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null"];
  const id = (await slurm(...urgent, "--parsable", "--wrap", "sleep 600")).trim();
  await jobIs(id, "RUNNING");
  await until("accounting has the first run", async () => {
    return (await slurm("sacct", "-nXPDj", requeued, "-o", "State")).includes("PREEMPTED");
  });
  const again = /^Pending \(.*, requeued after PREEMPTED\)$/;
  await new Shown(dataset, requeued, table).says("preempted, requeued", 8, again);
  await new Shown(dataset, cancelled, table).says("preempted, not requeued", 1, /^Preempted/);
  await slurm("scancel", id);
});

test("slurmdbd is stopped while jobs end", async (dataset) => {
  const [now, later] = [
    await WaitingJob.schedule(dataset, "now"),
    await WaitingJob.schedule(dataset, "later"),
  ];
  await stop("slurmdbd");
  await now.says("slurmdbd down, running", 8, /^Running$/);
  await now.end();
  await later.end();
  const failed = await dataset.schedule(["-o", "failed", "sbatch", "fail.sh", "failed"]);
  await jobsAreOver([failed]);
  await now.says("slurmdbd down, complete", 0, /^Complete$/);
  const words = /^Failed \(exit code 3\)$/;
  await new Shown(dataset, failed, table).says("slurmdbd down, exit code 3", 1, words);
  await start("slurmdbd");
  await later.isAccounted("COMPLETED");
  await later.says("slurmdbd up again, complete", 0, /^Complete$/);
});

test("slurmctld is stopped, and started again while a job runs", async (dataset) => {
  const over = await WaitingJob.schedule(dataset, "over");
  const running = await WaitingJob.schedule(dataset, "running");
  await over.end();
  await over.isAccounted("COMPLETED");
  await running.isAccounted("RUNNING");
  // Slurm's programs give up the sooner.
  configure(directory(), { MessageTimeout: "5" });
  await stop("slurmctld");
  await over.says("slurmctld down, complete", 0, /^Complete$/);
  await running.says(
    "slurmctld down, running",
    8,
    /^Running \(squeue cannot reach slurmctld\)$/,
  );
  await stop("slurmdbd");
  const reasons =
    /Slurm tells of no such job; sacct cannot reach slurmdbd; squeue cannot reach slurm/;
  await running.says("slurmctld and slurmdbd down", 1, /^Unknown$/, reasons);
  const refused = await dataset.tool(["schedule", "-o", "no", "sbatch", "write.sh", "no"]);
  assert.equal(refused.code, 3, refused.stderr);
  configure(directory(), { MessageTimeout: "60" });
  await start("slurmdbd");
  await start("slurmctld");
  await running.says("slurmctld started again, running", 8, /^Running$/);
  await running.end();
  await running.says("slurmctld started again, complete", 0, /^Complete$/);
});

test("slurmctld forgets jobs after two seconds", async (dataset) => {
  await reconfigured({ MinJobAge: "2" });
  const [known, lost] = [
    await WaitingJob.schedule(dataset, "known"),
    await WaitingJob.schedule(dataset, "lost"),
  ];
  await known.end();
  await known.isPurged();
  await known.says("purged after 2 s, complete", 0, /^Complete$/);
  await stop("slurmdbd");
  await lost.end();
  await lost.isPurged();
  const reason = new RegExp(
    "Slurm tells of no such job; sacct cannot reach slurmdbd; squeue [^;]*job; scontrol [^;]*job\\n" +
      `  Its log "slurm-${lost.id}.out" was last written .*\\n  These outputs are there: "lost"`,
  );
  await lost.says("purged after 2 s, slurmdbd down", 1, /^Unknown$/, reason);
  await start("slurmdbd");
  await lost.isAccounted("COMPLETED");
  await lost.says("slurmdbd up again, purged, complete", 0, /^Complete$/);
});

test("jobs whose end has not reached accounting are runaways, and an id is used again", async (dataset) => {
  await reconfigured({ MinJobAge: "2" });
  const [one, two] = [
    await WaitingJob.schedule(dataset, "one"),
    await WaitingJob.schedule(dataset, "two"),
  ];
  for (const job of [one, two]) await job.isAccounted("RUNNING");
  await stop("slurmdbd");
  for (const job of [one, two]) await job.end();
  for (const job of [one, two]) await job.isPurged();
  await stop("slurmctld");
  // What slurmctld has kept for slurmdbd is lost.
  await Deno.remove(`${directory()}/state/dbd.messages`);
  await start("slurmdbd");
  await start("slurmctld");
  const reason = /Accounting has RUNNING, but slurmctld does not know the job.*\(a runaway job\)/;
  await one.says("runaway: running in accounting alone", 1, /^Unknown$/, reason);
  const assumed = await dataset.succeed(["finish", "--assume-state", "completed", one.id]);
  assert.match(assumed, /^Job \d+: Complete \(assumed\), committed as /);
  assert.match(await dataset.git("log", "-1", "--format=%B"), /"assumed": true/);
  table.add("runaway, --assume-state completed", "", "Complete (assumed), committed", 0);

  // A slurmctld without its state lets accounting call cancelled what runs there, and begins anew.
  await stop("slurmctld");
  configure(directory(), { FirstJobId: two.id });
  await Deno.remove(`${directory()}/state`, { recursive: true });
  await Deno.mkdir(`${directory()}/state`);
  await start("slurmctld");
  const other = (await slurm("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "exit 7")).trim();
  assert.equal(other, two.id);
  await until("accounting has both", async () => {
    return (await slurm("sacct", "-nXPDj", two.id, "-o", "State")).includes("FAILED");
  });
  await two.says(
    "runaway ended by Slurm, its id used again by a job that failed",
    1,
    /^Cancelled$/,
  );
});

test("accounting is switched off", async (dataset) => {
  await reconfigured({
    AccountingStorageType: "accounting_storage/none",
    MinJobAge: "300",
    FirstJobId: "1000",
  });
  const job = await WaitingJob.schedule(dataset, "out");
  await job.says("no accounting, running", 8, /^Running$/);
  const known = await dataset.tool(["finish", "--assume-state", "completed", job.id]);
  assert.match(known.stderr, /Slurm knows the state of job \d+: Running/);
  assert.equal(known.code, 1);
  await job.end();
  const failed = await dataset.schedule(["-o", "failed", "sbatch", "fail.sh", "failed"]);
  await jobsAreOver([failed]);
  const words = /^Failed \(exit code 3\)$/;
  await new Shown(dataset, failed, table).says("no accounting, exit code 3", 1, words);
  await job.says("no accounting, complete", 0, /^Complete$/);

  await reconfigured({ MinJobAge: "2" });
  const purged = await WaitingJob.schedule(dataset, "purged");
  await purged.end();
  await purged.isPurged();
  const reason = /sacct has no accounting: it is disabled on this cluster; squeue [^;]*job; /;
  await purged.says("no accounting, purged", 1, /^Unknown$/, reason);
  const { code } = await dataset.tool(["finish", "--assume-state", "failed", purged.id]);
  assert.equal(code, 1);
  await dataset.succeed([
    "finish",
    "--assume-state",
    "failed",
    "--commit-failed-jobs",
    purged.id,
  ]);
  assert.match(await dataset.git("log", "-1", "--format=%s"), /: Failed$/);
});
