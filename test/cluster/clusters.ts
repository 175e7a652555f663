/**
 * What the tool does with a second cluster beside the local one, and while that is down. It is no part of
 * `make test`, since it takes a minute: run it with `make test-cluster`.
 */
import assert from "node:assert/strict";
import { letGo } from "../support/dataset.ts";
import { jobsAreAccounted, jobsAreOver, slurm, until } from "../support/real_slurm.ts";
import {
  areOverThere,
  directory,
  directoryThere,
  HELD,
  isThere,
  memoryJob,
  memoryShown,
  rowThere,
  test,
  useClusters,
} from "../support/second_cluster.ts";
import { runInterposed } from "../stress/interpose.ts";
import { startAgain, stopDaemon } from "./cluster.ts";

useClusters();

test("the cluster that Slurm has picked of several is recorded", async (dataset) => {
  for (const [partition, cluster] of [["elsewhere", "other"], ["requeued", "test"]] as const) {
    const command = ["sbatch", "-M", "test,other", "-p", partition, "write.sh", cluster];
    const said = await dataset.succeed(["schedule", "-o", cluster, ...command]);
    const [, id] =
      new RegExp(`^Submitted batch job (\\d+) on cluster ${cluster}$`, "m").exec(said) ??
        assert.fail(said);
    // The nodes are accounting's to tell, which may lag behind.
    await (cluster === "other" ? areOverThere(id ?? "") : jobsAreAccounted([id ?? ""]));
  }
  const finished = await dataset.succeed(["finish", "--wait"]);
  assert.equal(finished.match(/^Job \d+: Complete, committed as /gm)?.length, 2, finished);
  const nodes = [];
  for (const commit of [...finished.matchAll(/as (\w+)$/gm)].map(([, commit = ""]) => commit)) {
    const shown = await dataset.succeed(["show", commit]);
    nodes.push(/ on cluster \w+$/m.exec(shown)?.[0], /^Nodes +1: (\w)/m.exec(shown)?.[1]);
  }
  assert.deepEqual(nodes.join(), " on cluster other,m, on cluster test,n");
});

test("a job is finished by a job of its own on the cluster that it runs on", async (dataset) => {
  const pipe = await dataset.pipe("pipe");
  const said = await dataset.succeed(
    ["schedule", "--auto-finish", "-o", "out", "sbatch", "-M", "other", "wait.sh", pipe, "out"],
  );
  const [, id = ""] = /^Submitted batch job (\d+) on cluster other$/m.exec(said) ?? [];
  const [, finisher = ""] = /^Job (\d+) will finish it$/m.exec(said) ?? [];
  const queue = await slurm("squeue", "-M", "other", "-h", "-j", finisher, "-o", "%j %E");
  assert.match(queue, new RegExp(`^finish-${id} afterany:${id}`, "m"));
  await isThere(id, "RUNNING");
  await letGo(pipe);
  await areOverThere(id, finisher);
  const subject = `[DATALAD FINISH] Processed batch job ${id}: Complete`;
  assert.equal(await dataset.git("log", "-1", "--format=%s"), subject);
});

test("a submission to a cluster that has gone down since stays in doubt until it is back", async (dataset) => {
  // Told of the cluster by its script, as by the command line.
  await dataset.write("there.sh", "#!/bin/sh\n#SBATCH --clusters=other --hold\ntrue\n");
  for (const [output, command] of [["a", HELD], ["b", ["sbatch", "-Q", "there.sh"]]] as const) {
    const ran = await runInterposed(dataset, ["schedule", "-o", output, ...command], {
      program: "sbatch",
      after: "kill -KILL $TOOL",
    });
    assert.equal(ran.code, 137, ran.stderr);
    await stopDaemon(directoryThere(), "slurmctld");
    const doubtful = await dataset.tool(["recover"]);
    assert.equal(doubtful.code, 1, doubtful.stderr);
    assert.match(doubtful.stderr, /in doubt[^]*squeue cannot reach slurmctld of cluster "other"/);
    await startAgain(directoryThere(), "slurmctld");
    const { stderr } = await dataset.tool(["recover"]);
    const [, id = ""] = /Recorded job (\d+), whose submission was cut short/.exec(stderr) ?? [];
    assert.match(await rowThere(dataset, id), / Pending \(JobHeldUser\) /, stderr);
  }
});

test("of a job in doubt on a cluster that stays down the user can say which it is", async (dataset) => {
  const ran = await runInterposed(dataset, ["schedule", "-o", "out", ...HELD], {
    program: "sbatch",
    after: "kill -KILL $TOOL",
  });
  assert.equal(ran.code, 137, ran.stderr);
  const rows = await slurm("squeue", "-M", "other", "-h", "--format=%F|%Z");
  const id = rows.split("\n").find((row) => row.includes(dataset.scratch.directory))?.split("|")[0];
  await stopDaemon(directoryThere(), "slurmctld");
  const [, token = ""] = /Token: (\w+)/.exec((await dataset.tool(["recover"])).stderr) ?? [];
  await dataset.succeed(["recover", "--force", token, "--job", `${id};other`]);
  await startAgain(directoryThere(), "slurmctld");
  assert.match(await rowThere(dataset, `${id}`), / Pending \(JobHeldUser\) /);
});

test("a cluster that is down hides neither its own jobs nor others", async (dataset) => {
  const pipe = await dataset.pipe("pipe");
  const at = (name: string, ...command: string[]) =>
    dataset.schedule(["-o", name, "sbatch", "-M", "other", ...command, name]);
  const [over, running] = [await at("over", "write.sh"), await at("running", "wait.sh", pipe)];
  const here = await dataset.schedule(["-o", "here", "sbatch", "write.sh", "here"]);
  await isThere(running, "RUNNING");
  await areOverThere(over);
  await jobsAreOver([here]);
  await until("accounting has the beginning", async () => {
    return (await slurm("sacct", "-M", "other", "-nXPj", running, "-o", "State")) === "RUNNING\n";
  });
  const complete = new RegExp(`^\\w{10} +${here} +Complete `, "m");

  await stopDaemon(directoryThere(), "slurmctld");
  const status = await dataset.succeed(["status"]);
  assert.match(status, new RegExp(` ${over} on other +Complete `));
  assert.match(
    status,
    new RegExp(` ${running} on other +Running \\(squeue cannot reach slurmctld\\) `),
  );
  assert.match(status, complete);
  const refused = await dataset.tool(
    ["schedule", "-o", "no", "sbatch", "-M", "other", "write.sh", "no"],
  );
  assert.equal(refused.code, 3, refused.stderr);
  assert.match(refused.stderr, /the controller of cluster "other" does not answer/);

  await stopDaemon(directory(), "slurmdbd");
  const blind = await dataset.tool(["status"]);
  assert.match(blind.stdout, new RegExp(` ${running} on other +Unknown `));
  assert.match(
    blind.stderr,
    new RegExp(`^Job ${running} is unknown:\n.*sacct cannot reach slurmdbd; squeue `, "m"),
  );
  assert.match(blind.stdout, complete);

  await startAgain(directory(), "slurmdbd");
  const { code, stdout } = await dataset.tool(["finish"]);
  assert.equal(code, 8, stdout);
  assert.match(stdout, new RegExp(`^Job ${here}: Complete, committed as `, "m"));
  assert.match(stdout, new RegExp(`^Job ${over}: Complete, committed as `, "m"));
  assert.match(stdout, new RegExp(`^Job ${running}: Running .*left open$`, "m"));
  await startAgain(directoryThere(), "slurmctld");
  await letGo(pipe);
  await areOverThere(running);
  assert.match(await dataset.succeed(["finish"]), new RegExp(`^Job ${running}: Complete, `));
});

test("what a job used of the memory it asked for is told", async (dataset) => {
  const id = await memoryJob(dataset, 200, 100, 1);
  assert.match(await dataset.succeed(["finish"]), new RegExp(`^Job ${id}: Complete, `));
  const [used, requested] = await memoryShown(dataset, id);
  assert.equal(requested, "200 MiB");
  assert.ok(used >= 100 && used < 140, `${used} MiB`);
});
