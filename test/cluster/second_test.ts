/** What the tool does with a second cluster beside the local one, as far as it is quickly told. */
import assert from "node:assert/strict";
import { changesOf } from "../support/checker.ts";
import { jobsAreOver, noRealSlurm } from "../support/real_slurm.ts";
import {
  areOverThere,
  HELD,
  memoryJob,
  memoryShown,
  rowThere,
  scheduleOnBoth,
  test,
  useClusters,
} from "../support/second_cluster.ts";
import { runInterposed } from "../stress/interpose.ts";
import { memoryGroupObstacle } from "./memory_group.ts";

useClusters();

test("jobs of one id on two clusters are each finished with their own state and files", async (dataset) => {
  const id = await scheduleOnBoth(
    dataset,
    ["-o", "ours", "sbatch", "-o", "ours.log", "fail.sh", "ours"],
    ["-o", "theirs", "sbatch", "-M", "other", "-o", "theirs.log", "write.sh", "theirs"],
  );
  await areOverThere(id);
  await jobsAreOver([id]);

  const status = await dataset.succeed(["status"]);
  assert.match(status, new RegExp(`^\\w{10} +${id} on other +Complete +.* theirs$`, "m"));
  assert.match(status, new RegExp(`^\\w{10} +${id} +Failed \\(exit code 3\\) +.* ours$`, "m"));

  const finish = await dataset.tool(["finish"]);
  assert.equal(finish.code, 1, finish.stderr);
  assert.match(finish.stdout, new RegExp(`^Job ${id}: Failed \\(exit code 3\\), left open$`, "m"));
  const theirs = committed(finish.stdout, id, "Complete");
  const ours = committed(
    await dataset.succeed(["finish", "--commit-failed-jobs"]),
    id,
    "Failed",
  );
  for (const [commit, name, at] of [[theirs, "theirs", "-other"], [ours, "ours", ""]] as const) {
    const paths = [...(await changesOf(dataset, commit)).keys()];
    const known = `slurm-job-${id}${at}.env.json`;
    assert.deepEqual(paths.toSorted(), [name, `${name}.log`, known].toSorted());
  }
  const shown = await dataset.succeed(["show", theirs]);
  assert.match(shown, new RegExp(`^Job +${id} on cluster other$[^]*^Nodes +1: m1$`, "m"));
  assert.match(shown, /^State +Complete$/m);
  const shownHere = await dataset.succeed(["show", ours]);
  assert.match(shownHere, /^State +Failed, exit code 3$[^]*^Nodes +1: n\d$/m);

  const again = await dataset.succeed(["reschedule", theirs]);
  const next = /^Submitted batch job (\d+) on cluster other$/m.exec(again)?.[1] ?? "";
  assert.notEqual(next, "", again);
  assert.match(
    await dataset.succeed(["finish", "--wait"]),
    new RegExp(`^Job ${next}: Complete, committed as `, "m"),
  );
  assert.match(await dataset.git("log", "-1", "--format=%B"), /"cluster": "other"/);
});

/** Returns the commit of a job in what `finish` has said. */
function committed(stdout: string, id: string, state: string): string {
  const commit = new RegExp(`^Job ${id}: ${state}, committed as (\\w+)$`, "m").exec(stdout)?.[1];
  assert.ok(commit !== undefined, stdout);
  return commit;
}

test("a submission to another cluster that was cut short is recorded", async (dataset) => {
  const schedule = ["schedule", "-o", "out", ...HELD];
  const ran = await runInterposed(dataset, schedule, {
    program: "sbatch",
    after: "kill -KILL $TOOL",
  });
  assert.equal(ran.code, 137, ran.stderr);
  const recovered = await dataset.tool(["recover"]);
  const [, id = ""] = /Recorded job (\d+), whose submission was cut short/.exec(recovered.stderr) ??
    [];
  assert.match(await rowThere(dataset, id), / Pending \(JobHeldUser\) /);
});

const unlimited = noRealSlurm ? "there is no Slurm" : await memoryGroupObstacle();
if (unlimited !== undefined) console.error(`No job can run out of memory here: ${unlimited}`);

test(
  "a job that runs out of memory is named, with what it asked for and what it used",
  async (dataset) => {
    const id = await memoryJob(dataset, 120, 50, 300);
    assert.match(await rowThere(dataset, id), / on other +Out of memory +/);
    const happened =
      /It ran out of the 120 MiB of memory that it requested; ([\d.]+) MiB were in use/;
    const finish = await dataset.tool(["finish"]);
    assert.equal(finish.code, 1);
    assert.match(finish.stdout, new RegExp(`^Job ${id}: Out of memory, left open$`, "m"));
    assert.match(finish.stderr, happened);
    assert.match(
      finish.stderr,
      /^Hint: Request more than 120 MiB with sbatch --mem or --mem-per-cpu$/m,
    );
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    const [used, requested] = await memoryShown(dataset, id);
    assert.equal(requested, "120 MiB");
    // What processes share counts for each; it asked for 350 MiB altogether.
    assert.ok(used >= 50 && used < 180, `${used} MiB`);
    assert.match(await dataset.succeed(["show", id]), /^State +Out of memory$/m);
    assert.match(
      await dataset.git("log", "-1", "--format=%s"),
      /: Out of memory$/,
    );
  },
  unlimited !== undefined,
);
