import assert from "node:assert/strict";
import { concurrently } from "../support/concurrently.ts";
import { letGo, TestDataset } from "../support/dataset.ts";
import {
  jobIs,
  jobsAreAccounted,
  jobsAreOver,
  noRealSlurm,
  slurm,
  useCluster,
} from "../support/real_slurm.ts";

useCluster();

const fixtures = new URL("../../fixtures/records/", import.meta.url);

/** Returns what `show` says of each name, lines below one another joined by `|`. */
function readPairs(stdout: string): Record<string, string> {
  const pairs: Record<string, string> = {};
  let name = "";
  for (const line of stdout.trimEnd().split("\n")) {
    const [, label = "", value = ""] = /^(\S.*?)? {2,}(\S.*)$/.exec(line) ?? [];
    if (label !== "") name = label;
    pairs[name] = pairs[name] === undefined ? value : `${pairs[name]}|${value}`;
  }
  return pairs;
}

concurrently(false, {
  "records of the DataLad extension are shown, all its forms": async () => {
    await using dataset = await TestDataset.make();
    const states: Record<string, string> = {
      "schedule-2025-01.txt": "45",
      "finish-2025-01.txt": "45",
      "slurm-run-0.2.5.txt": "",
      "slurm-run-failed-array-0.2.5.txt": "604",
      "slurm-run-rescheduled-0.2.5.txt": "",
    };
    for (const [name, id] of Object.entries(states)) {
      const message = await Deno.readTextFile(new URL(name, fixtures));
      await dataset.run(["git", "commit", "-q", "--allow-empty", "-F", "-"], { stdin: message });
      const shown = readPairs(await dataset.succeed(["show", "HEAD"]));
      assert.match(shown["Job"] ?? "", new RegExp(`^${id}`), name);
      assert.match(shown["Command"] ?? "", /^sbatch /, name);
      assert.notEqual(shown["State"], undefined, name);
    }
    const shown = readPairs(await dataset.succeed(["show", "45"]));
    assert.equal(shown["State"], "Completed");
    assert.equal(shown["Outputs"]?.split("|")[0], "jobs/20");
    assert.match(shown["Scheduled"] ?? "", /^[0-9a-f]{10}$/);
    assert.match(readPairs(await dataset.succeed(["show", "604"]))["State"] ?? "", /^Array failed/);
  },
  "an array that is not over has no end, and what is changed now is changed while it runs":
    async () => {
      await using dataset = await TestDataset.make();
      await dataset.write("in", "in\n");
      await dataset.commit("Input");
      const pipe = await dataset.pipe("pipe");
      const wrap = `[ $SLURM_ARRAY_TASK_ID = 1 ] || read -r word <${pipe}`;
      const id = await dataset.schedule(
        ["-i", "in", "-o", "out", "sbatch", "--array=1-2", `--wrap=${wrap}`],
      );
      await jobsAreAccounted([`${id}_1`]);
      await jobIs(`${id}_2`, "RUNNING");
      await dataset.write("in", "changed\n");
      // In the second of the first task's end nobody could tell.
      await Deno.utime(`${dataset.root}/in`, Date.now() / 1000, Date.now() / 1000 + 60);
      const shown = readPairs(await dataset.succeed(["show", id]));
      assert.equal(shown["State"], "Running");
      assert.notEqual(shown["Started"], undefined);
      assert.equal(shown["Ended"], undefined);
      assert.match(shown["Changed"] ?? "", /^the input "in" was changed while the job ran/);
      const record = JSON.parse(await dataset.succeed(["show", "--json", id]));
      assert.equal(record.end, undefined);
      assert.equal(record.accounting.end, undefined);
      await letGo(pipe);
      await jobsAreOver([id]);
      assert.notEqual(readPairs(await dataset.succeed(["show", id]))["Ended"], undefined);
    },
  "what is no recorded job is refused by name": async () => {
    await using dataset = await TestDataset.make();
    for (const target of ["HEAD", "999999", "nothing"]) {
      const { code, stderr } = await dataset.tool(["show", target]);
      assert.equal(code, 1, target);
      assert.match(stderr, /Hint: See the recorded jobs with: datalad-slurm log/);
    }
    assert.equal((await dataset.tool(["show"])).code, 2);
    assert.equal((await dataset.tool(["show", "1", "2"])).code, 2);
  },
});

concurrently(noRealSlurm, {
  "an open job is shown with what Slurm says, a finished one from history alone": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("in", "in\n");
    await dataset.commit("Input");
    const id = await dataset.schedule([
      ...["-m", "Two\nlines", "-i", "in", "-o", "out"],
      ...["sbatch", "-H", "-t", "7", "-n", "2", "write.sh", "out"],
    ]);
    const open = readPairs(await dataset.succeed(["show", id]));
    assert.equal(open["State"], "Pending (JobHeldUser)");
    assert.equal(open["Finished"], "no commit yet");
    assert.equal(open["Elapsed"], undefined);
    assert.doesNotMatch(open["Memory"] ?? "", /used/);
    await slurm("scontrol", "release", id);
    await jobsAreAccounted([id]);
    await dataset.succeed(["finish"]);
    await dataset.write("in", "changed\n");
    // In the second of the job's end nobody could tell.
    await Deno.utime(`${dataset.root}/in`, Date.now() / 1000, Date.now() / 1000 + 60);
    // None of Slurm's programs is asked.
    const programs = ["sacct", "squeue", "scontrol", "sbatch"];
    const failing = Object.fromEntries(programs.map((name) => [name, "exit 1"]));
    const env = { PATH: await dataset.pathWith(failing) };
    const shown = readPairs(await dataset.succeed(["show", id], { env }));
    const commit = async (name: string) => (await dataset.git("rev-parse", name)).slice(0, 10);
    assert.equal(shown["Job"], `${id} on cluster test`);
    assert.equal(shown["State"], "Complete");
    assert.equal(shown["Command"], "sbatch -H -t 7 -n 2 write.sh out");
    assert.match(shown["Elapsed"] ?? "", /^\d+\.?\d* s of 7 min \(\d+ %\)$/);
    assert.match(shown["CPUs"] ?? "", /^2(?:,|$)/);
    assert.match(shown["Memory"] ?? "", /1 MiB requested/);
    assert.match(shown["Nodes"] ?? "", /^1: n\d$/);
    assert.match(shown["Slurm"] ?? "", /^\d+\.\d+/);
    assert.equal(shown["Outputs"], "out");
    assert.equal(shown["Logs"], `slurm-${id}.out`);
    assert.equal(shown["Accounting"], `slurm-job-${id}.env.json`);
    assert.match(shown["Script"] ?? "", /^write\.sh, as [0-9a-f]{10}$/);
    assert.match(shown["Inputs"] ?? "", /^in, as [0-9a-f]{10}$/);
    assert.match(shown["Changed"] ?? "", /^the input "in" was changed after the job was over/);
    assert.equal(shown["Scheduled"], await commit("HEAD^"));
    assert.equal(shown["Finished"], await commit("HEAD"));
    for (const target of ["HEAD", "HEAD^"]) {
      assert.equal(
        await dataset.succeed(["show", target], { env }),
        await dataset.succeed(["show", id], { env }),
      );
    }
    const record = JSON.parse(await dataset.succeed(["show", "--json", id], { env }));
    assert.equal(record.accounting.time_limit_seconds, 420);
    assert.equal(record.accounting.allocated_cpus, 2);
    assert.equal(record.open, false);
    assert.equal(record.finish_commit, await dataset.git("rev-parse", "HEAD"));
    assert.deepEqual(record.changed.map(({ path }: { path: string }) => path), ["in"]);
  },
  "an array is shown with its tasks by state, and a rescheduled job with what it descends from":
    async () => {
      await using dataset = await TestDataset.make();
      const id = await dataset.schedule(
        ["-o", "out", "sbatch", "--array=0-3", "array.sh", "out", "2"],
      );
      await jobsAreOver([id]);
      await jobsAreAccounted([0, 1, 2, 3].map((task) => `${id}_${task}`));
      await dataset.tool(["finish", "--commit-failed-jobs"]);
      const shown = readPairs(await dataset.succeed(["show", `${id}_2`]));
      assert.equal(shown["State"], "Failed");
      assert.match(
        shown["Tasks"] ?? "",
        /^Complete: 0-1,3\|Failed: 2\|2: Failed, exit code 4(?:, after .*)?, on n\d(?:\||$)/,
      );
      const commit = await dataset.git("rev-parse", "HEAD^");
      const again = /^Submitted batch job (\d+)/m.exec(
        await dataset.succeed(["reschedule", "HEAD"]),
      )?.[1] ?? "";
      const next = readPairs(await dataset.succeed(["show", again]));
      assert.equal(next["Descends"], `from job ${id}, commit ${commit.slice(0, 10)}`);
      await jobsAreOver([again]);
    },
  "finish and show name what a job had too little of": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "-t", "7", "fail.sh", "out"]);
    await jobsAreAccounted([id]);
    const sacct = (await dataset.run(["which", "sacct"])).stdout.trim();
    // A time limit is a minute at least; memory is not watched on this cluster.
    const instead = (state: string) =>
      dataset.pathWith({ sacct: `${sacct} "$@" | sed 's/FAILED/${state}/; s/1:0/0:0/'` });
    const memory = await dataset.tool(["finish"], {
      env: { PATH: await instead("OUT_OF_MEMORY") },
    });
    assert.match(memory.stdout, /Out of memory/);
    assert.match(memory.stderr, /It ran out of the 1 MiB of memory that it requested/);
    assert.match(
      memory.stderr,
      /^Hint: Request more than 1 MiB with sbatch --mem or --mem-per-cpu$/m,
    );
    const time = { env: { PATH: await instead("TIMEOUT") } };
    const left = await dataset.tool(["finish", "--json"], time);
    assert.equal(left.code, 1);
    assert.equal(
      JSON.parse(left.stdout).hint,
      "It ran into its time limit of 7 min. Give it more than 7 min with sbatch --time",
    );
    const { stderr } = await dataset.tool(["finish", "--close-failed-jobs"], time);
    assert.match(stderr, /^Hint: Give it more than 7 min with sbatch --time$/m);
    const shown = await dataset.tool(["show", id]);
    assert.match(shown.stdout, /^State +Timeout/m);
    assert.match(shown.stdout, /closed without outputs$/m);
    assert.match(shown.stdout, /^ +It ran into its time limit of 7 min$/m);
    assert.match(shown.stderr, /^Hint: Give it more than 7 min with sbatch --time$/m);
  },
});
