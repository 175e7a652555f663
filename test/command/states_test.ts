import assert from "node:assert/strict";
import { parseVersion } from "../../lib/slurm/accounting.ts";
import { isThere } from "../../lib/files.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import {
  jobIs,
  jobsAreOver,
  jobsSubmittedBelow,
  noRealSlurm,
  slurm,
  until,
  useCluster,
} from "../support/real_slurm.ts";
import { Shown, StateTable } from "../support/state_table.ts";

useCluster();

const table = new StateTable("what Slurm's own commands do to jobs");
Deno.test.afterAll(() => table.write());

/** Lets go what was requeued: Slurm waits two minutes with that. */
async function startNow(id: string): Promise<void> {
  await jobIs(id, "PENDING");
  // Until the second after that a node refuses the second one, which has failed then (22.05).
  await until("the first run is ended", async () => {
    return await slurm("sh", "-c", `pgrep -cf 'slurmstepd: \\[${id}\\.' || true`) === "0\n";
  });
  await slurm("scontrol", "update", `jobid=${id}`, "StartTime=now+2");
}

const SLEEP = ["sbatch", "--wrap", "sleep 600"];
const sbatch = (...options: string[]) => ["sbatch", ...options, "--wrap", "sleep 600"];

/** Runs until it is requeued, and completes in its second run. */
const TWICE = 'if [ -z "$SLURM_RESTART_COUNT" ]; then touch begun; sleep 600; fi; echo again >out';

/** Waits until the first run is under way: what is requeued before has no second one. */
async function hasBegun({ dataset }: Shown): Promise<void> {
  await until("the first run has begun", () => isThere(`${dataset.root}/begun`));
}

async function withJob(
  command: readonly string[],
  use: (job: Shown) => Promise<void>,
): Promise<void> {
  await using dataset = await TestDataset.make();
  const id = await dataset.schedule(["-o", "out", ...command]);
  await use(new Shown(dataset, id, table));
}

concurrently(false, {
  "a job that is held and released": () =>
    withJob(["sbatch", "--hold", "--wrap", "echo x >out"], async (job) => {
      await jobIs(job.id, "PENDING");
      await job.says("held", 8, /^Pending \(JobHeldUser\)$/);
      await slurm("scontrol", "release", job.id);
      await jobsAreOver([job.id]);
      await job.says("released", 0, /^Complete$/);
    }),
  "a pending job that is cancelled": () =>
    withJob(["sbatch", "--hold", "--wrap", "true"], async (job) => {
      await slurm("scancel", job.id);
      await jobsAreOver([job.id]);
      await job.says("cancelled, pending", 1, /^Cancelled$/, /--close-failed-jobs/);
    }),
  "a running job that is cancelled": () =>
    withJob(SLEEP, async (job) => {
      await jobIs(job.id, "RUNNING");
      await slurm("scancel", job.id);
      await jobsAreOver([job.id]);
      await job.says("cancelled, running", 1, /^Cancelled(?: \(signal \d+\))?$/);
    }),
  "a pending array that is cancelled": () =>
    withJob(["sbatch", "--hold", "--array=0-4", "--wrap", "true"], async (job) => {
      await slurm("scancel", job.id);
      await jobsAreOver([job.id]);
      await job.says("array cancelled, pending", 1, /^Cancelled \(5 of 5 Cancelled\)$/);
    }),
  "a running array that is cancelled": () =>
    withJob(sbatch("--array=0-2"), async (job) => {
      await jobIs(`${job.id}_2`, "RUNNING");
      await slurm("scancel", job.id);
      await jobsAreOver([job.id]);
      await job.says("array cancelled, running", 1, /^Cancelled \(3 of 3 Cancelled\)$/);
    }),
  "one running task of an array that is cancelled": () =>
    withJob(sbatch("--array=0-2"), async (job) => {
      await jobIs(`${job.id}_2`, "RUNNING");
      await slurm("scancel", `${job.id}_1`);
      await jobIs(`${job.id}_1`, "CANCELLED");
      const words = /^Running \(1 of 3 Cancelled, 2 of 3 Running\)$/;
      await job.says("running task cancelled, others run", 8, words);
    }),
  "many jobs of a cluster without accounting": async () => {
    await using dataset = await TestDataset.make();
    const codes = Array.from({ length: 20 }, (_, at) => at + 1);
    const table = `${dataset.scratch.directory}/codes.csv`;
    await Deno.writeTextFile(table, `code\n${codes.join("\n")}\n`);
    const command = ["-o", "out-{code}", "sbatch", "--wrap", "exit {code}"];
    await dataset.succeed(["schedule", "--batch", table, ...command]);
    const ids = await jobsSubmittedBelow(dataset.root);
    await jobsAreOver(ids);
    const sacct = "echo 'Slurm accounting storage is disabled' >&2; exit 1";
    const env = { PATH: await dataset.pathWith({ sacct }) };
    const status = await dataset.tool(["status"], { env });
    const shown = [...status.stdout.matchAll(/Failed \(exit code (\d+)\)/g)];
    assert.deepEqual(shown.map(([, code]) => Number(code)).toSorted((a, b) => a - b), codes);
  },
  "a job that ends with an exit code": () =>
    withJob(["sbatch", "--wrap", "exit 3"], async (job) => {
      await jobsAreOver([job.id]);
      await job.says("exit code 3", 1, /^Failed \(exit code 3\)$/);
    }),
  "a job that is killed by a signal": () =>
    withJob(["sbatch", "--wrap", "kill -KILL $$"], async (job) => {
      await jobsAreOver([job.id]);
      await job.says("killed by SIGKILL", 1, /^Failed \(signal 9\)$/);
    }),
  "a job whose log file is in no directory": () =>
    withJob(["sbatch", "-o", "nowhere/%j.out", "--wrap", "true"], async (job) => {
      await jobsAreOver([job.id]);
      const version = parseVersion(await slurm("sbatch", "--version")) ?? "";
      // From 24.11 on Slurm makes the directory.
      if (parseFloat(version) < 24.11) {
        const words =
          /^Failed \(signal 53: Slurm could not open its log file; is the directory there\?\)$/;
        await job.says("log in no directory (0:53)", 1, words);
      } else {
        await job.says("log in no directory, which Slurm makes", 0, /^Complete$/);
      }
    }),
  "a job whose dependency is never satisfied": () =>
    withJob(["sbatch", "--wrap", "false"], async ({ dataset, id }) => {
      await jobsAreOver([id]);
      const next = await dataset.schedule([
        "-o",
        "next",
        "sbatch",
        `--dependency=afterok:${id}`,
        "--wrap",
        "true",
      ]);
      await until("slurmctld sees it", async () => {
        return (await slurm("squeue", "-h", "-j", next, "-o", "%r")).includes("NeverSatisfied");
      });
      await new Shown(dataset, next, table).says(
        "dependency never satisfied",
        1,
        /^Pending \(DependencyNeverSatisfied\)$/,
        /^Hint: Job \d+ waits for ever.* scancel \d+$/m,
      );
    }),
  "an array of 5,000 tasks": () =>
    withJob(["sbatch", "--hold", "--array=0-4999%2", "--wrap", "true"], async (job) => {
      await job.says("5,000 tasks held", 8, /^Pending \(5000 of 5000 Pending, JobHeldUser\)$/);
      await slurm("scontrol", "release", `${job.id}_[7,4998]`);
      await until("two tasks are over", async () => {
        const states = await slurm("sacct", "-nXPj", job.id, "-o", "JobID,State");
        return states.match(/COMPLETED$/gm)?.length === 2;
      });
      const some = /^Pending \(2 of 5000 Complete, 4998 of 5000 Pending, JobHeldUser\)$/;
      await job.says("5,000 tasks, two complete", 8, some);
      await slurm("scancel", job.id);
      await jobsAreOver([job.id]);
      const all = /^Cancelled \(4998 of 5000 Cancelled, 2 of 5000 Complete\)$/;
      await job.says("5,000 tasks, the others cancelled", 1, all);
      const { code, stderr } = await job.dataset.tool(["finish", "--commit-failed-jobs"]);
      assert.equal(code, 0, stderr);
      // Nobody misses what 4,998 tasks that never started have not written.
      assert.equal(stderr, `Warning: Job ${job.id}: It has not made its declared output "out"\n`);
      const record = await job.dataset.git("log", "-1", "--format=%B");
      assert.match(record, /"CANCELLED": "0-6,8-4997,4999"/);
      assert.ok(record.length < 4000, `${record.length} characters`);
      const shown = await job.dataset.succeed(["show", job.id]);
      assert.match(shown, /^Tasks +Cancelled: 0-6,8-4997,4999\n +Complete: 7,4998$/m);
      assert.match(shown, /^Logs +slurm-\d+_7\.out\n +slurm-\d+_4998\.out$/m);
    }),
});

/** Keeps a node for one job, given the words that lead sbatch there: others' would go down with it. */
async function withNode(
  node: string,
  use: (only: readonly string[]) => Promise<void>,
): Promise<void> {
  const name = `only-${node}`;
  const words = `reservationname=${name} nodes=${node} users=root starttime=now duration=10`;
  await until(`nothing runs on ${node}`, async () => {
    const said = await slurm("sh", "-c", `scontrol create reservation ${words} 2>&1 || true`);
    return said.includes("Reservation created");
  });
  try {
    await use([`--reservation=${name}`]);
  } finally {
    await slurm("scontrol", "delete", `reservationname=${name}`);
  }
}

async function takeDown(node: string): Promise<void> {
  await slurm("scontrol", "update", `nodename=${node}`, "state=down", "reason=test");
  // It comes back by itself when its slurmd registers again, if this is too early.
  await until(`${node} is back`, async () => {
    await slurm("sh", "-c", `scontrol update nodename=${node} state=resume 2>/dev/null || true`);
    // Idle, it is "resv" once slurmctld has looked at the reservations again.
    return /^(?:idle|mix|alloc|resv)/.test(await slurm("sinfo", "-hNn", node, "-o", "%t"));
  });
}

concurrently(noRealSlurm, {
  "a job that is held while it is pending": () =>
    withJob(["sbatch", "--begin=now+1hour", "--wrap", "true"], async (job) => {
      await job.says("to begin later", 8, /^Pending \(BeginTime\)$/);
      await slurm("scontrol", "hold", job.id);
      await job.says("held by root", 8, /^Pending \(JobHeldAdmin\)$/);
    }),
  "a job that is suspended and resumed": () =>
    withJob(SLEEP, async (job) => {
      await jobIs(job.id, "RUNNING");
      await slurm("scontrol", "suspend", job.id);
      await job.says("suspended", 8, /^Suspended$/);
      await slurm("scontrol", "resume", job.id);
      await job.says("resumed", 8, /^Running$/);
    }),
  "a job that is requeued and completes": () =>
    withJob(["sbatch", "--wrap", TWICE], async (job) => {
      await hasBegun(job);
      await slurm("scontrol", "requeue", job.id);
      await jobIs(job.id, "PENDING");
      await job.says("requeued", 8, /^Pending \((?:BeginTime(?:, requeued)?|requeued)\)$/);
      await startNow(job.id);
      await jobsAreOver([job.id]);
      await job.says("requeued, second run over", 0, /^Complete(?: \(requeued\))?$/);
    }),
  "a job that is requeued and held": () =>
    withJob(SLEEP, async (job) => {
      await jobIs(job.id, "RUNNING");
      await slurm("scontrol", "requeuehold", job.id);
      await until("it is held", async () => {
        return (await slurm("squeue", "-h", "-j", job.id, "-o", "%T %r")).includes("PENDING");
      });
      await job.says(
        "requeued and held",
        8,
        /^Pending \(job requeued in held state(?:, requeued)?\)$/,
      );
    }),
  "a job that is requeued as a special exit": () =>
    withJob(SLEEP, async (job) => {
      await jobIs(job.id, "RUNNING");
      await slurm("scontrol", "requeuehold", "State=SpecialExit", job.id);
      await jobIs(job.id, "SPECIAL_EXIT");
      const hint = /^Hint: Slurm has requeued job \d+ and holds it.* scontrol release \d+/m;
      await job.says("special exit", 8, /^Special exit(?: \(.*\))?$/, hint);
    }),
  "one pending task of an array that is cancelled": () =>
    withJob(["sbatch", "--hold", "--array=0-2", "--wrap", "true"], async (job) => {
      await slurm("scancel", `${job.id}_1`);
      await slurm("scontrol", "release", job.id);
      await jobsAreOver([job.id]);
      const words = /^Unknown \(2 of 3 Complete, 1 of 3 Unknown\)$/;
      const reason = /No state is known of 1 array task \(1\), which is so .* cancelled before/;
      await job.says("pending task cancelled, others complete", 1, words, reason);
    }),
  "a job that runs out of time": () =>
    withJob(sbatch("--time=1"), async (job) => {
      await jobIs(job.id, "RUNNING");
      await slurm("scontrol", "update", `jobid=${job.id}`, "TimeLimit=0");
      await jobsAreOver([job.id]);
      await job.says("time limit", 1, /^Timeout(?: \(signal \d+\))?$/);
    }),
});

concurrently(noRealSlurm, {
  "a job whose node goes down": () =>
    withNode("n4", async (only) => {
      await withJob(sbatch("--no-requeue", ...only), async (job) => {
        await jobIs(job.id, "RUNNING");
        await takeDown("n4");
        await jobIs(job.id, "NODE_FAIL");
        await job.says("node down, not requeued", 1, /^Node fail(?: \(exit code 1\))?$/);
      });
    }),
  "a job whose node goes down, and that Slurm runs again": () =>
    withNode("n3", async (only) => {
      await withJob(["sbatch", "--requeue", ...only, "--wrap", TWICE], async (job) => {
        await hasBegun(job);
        await takeDown("n3");
        await jobIs(job.id, "PENDING");
        const words = /^Pending \((?:BeginTime, )?requeued after NODE_FAIL\)$/;
        await until("accounting has the first run", async () => {
          return (await slurm("sacct", "-nXPDj", job.id, "-o", "State")).includes("NODE_FAIL");
        });
        await job.says("node down, requeued", 8, words);
        await startNow(job.id);
        await jobsAreOver([job.id]);
        const again = /^Complete \(requeued after NODE_FAIL\)$/;
        await job.says("node down, requeued, second run over", 0, again);
      });
    }),
});
