import assert from "node:assert/strict";
import { checkDataset, checkNothingIsLeft } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { readOutput } from "../support/output_records.ts";
import { jobsSubmittedBelow, noRealSlurm, useCluster } from "../support/real_slurm.ts";
import { runInterposed } from "../stress/interpose.ts";

useCluster();

/** Returns the JSON lines that a command printed. */
function linesOf(stdout: string): Record<string, unknown>[] {
  readOutput(stdout);
  return stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** Returns the commands and messages in history, oldest first. */
async function recordedCommands(dataset: TestDataset): Promise<string[]> {
  const log = await dataset.git("log", "--reverse", "--format=%B");
  return [...log.matchAll(/^ "cmd": "(.*)",$/gm)].map(([, cmd = ""]) => cmd);
}

const SWEEP = ["-o", "out/{name}", "-m", "Run {name}", "sbatch", "-H", "write.sh", "out/{name}"];

/** Six jobs; the submission of the third one is `third`. */
function sixJobs(third: string): string {
  return [1, 2, 3, 4, 5, 6].map((number) => {
    const submit = `sbatch -H write.sh out/${number}`;
    const command = number === 3 ? third.replace("SUBMIT", submit) : submit;
    return JSON.stringify({ outputs: `out/${number}`, command });
  }).join("\n");
}

/** Asserts that each of the six jobs is recorded once, and that Slurm has no other job. */
async function checkSixJobs(dataset: TestDataset, base: string): Promise<void> {
  const ids = await jobsSubmittedBelow(dataset.root);
  assert.equal(ids.length, 6);
  await checkDataset(dataset, { base, open: ids, status: ["?? six.jsonl"] });
}

concurrently(false, {
  "a table is a sweep: one job a line, and a longer table later adds what is new": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const table = `${dataset.scratch.directory}/sweep.csv`;
    await Deno.writeTextFile(table, "name,x\na,1\nb c,2\n");
    assert.match(
      await dataset.succeed(["schedule", "--batch", table, ...SWEEP]),
      /^Submitted and recorded 2 jobs \(\d+ to \d+\)\n$/,
    );
    await Deno.writeTextFile(table, "name,x\nd,5\na,1\nb c,2\n");
    const again = linesOf(
      await dataset.succeed(["schedule", "--json", "--batch", table, ...SWEEP]),
    );
    assert.deepEqual(
      again.map(({ line, status, action }) => [line, status, action]).toSorted(),
      [[2, "ok", "schedule"], [3, "notneeded", "schedule"], [4, "notneeded", "schedule"]],
    );
    assert.deepEqual((await recordedCommands(dataset)).toSorted(), [
      "sbatch -H write.sh 'out/b c'",
      "sbatch -H write.sh out/a",
      "sbatch -H write.sh out/d",
    ]);
    const ids = await jobsSubmittedBelow(dataset.root);
    assert.deepEqual(
      again.map((one) => one["slurm_job_id"]).toSorted(),
      ids.toSorted(),
    );
    assert.match(await dataset.git("log", "--format=%b"), /^Run b c$/m);
    await checkDataset(dataset, { base, open: ids });
  },
  "jobs come as JSON from stdin, and count from the current directory": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("sub/in put", "in\n");
    const base = await dataset.commit("Input");
    const stdin = [
      { inputs: "in put", outputs: ["a", "b"], command: ["sbatch", "-H", "../write.sh", "a"] },
      { outputs: "../c", command: "sbatch -H --array=1-2 ../write.sh {outputs}", message: "C" },
    ].map((job) => JSON.stringify(job)).join("\n");
    await dataset.succeed(["schedule", "--batch", "-"], { in: "sub", stdin });
    const records = (await dataset.git("log", "--reverse", "--format=%B", `${base}..`))
      .split("=== Do not change lines below ===").slice(1)
      .map((text) => JSON.parse(text.split("^^^")[0] ?? ""));
    const byOutput = new Map(records.map((record) => [record.outputs[0], record]));
    assert.deepEqual(byOutput.get("sub/a").inputs, ["sub/in put"]);
    assert.deepEqual(byOutput.get("sub/a").outputs, ["sub/a", "sub/b"]);
    assert.equal(byOutput.get("sub/a").datalad_slurm.job.name, "write.sh");
    assert.equal(byOutput.get("c").datalad_slurm.job.array, "1-2");
    assert.equal(byOutput.get("c").cmd, "sbatch -H --array=1-2 ../write.sh {outputs}");
    await checkDataset(dataset, { base, open: await jobsSubmittedBelow(dataset.root) });
  },
  "killed between two submissions, the same batch records every job once": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    await dataset.write("six.jsonl", sixJobs("SUBMIT; sh kill_tool.sh"));
    const batch = ["schedule", "-j2", "--batch", "six.jsonl"];
    assert.equal((await dataset.tool(batch)).code, 137);
    // What the dead one has begun may still come to its end.
    const stop = performance.now() + 30_000;
    let again = await dataset.tool(batch);
    while (again.code !== 0 && performance.now() < stop) again = await dataset.tool(batch);
    assert.equal(again.code, 0, again.stderr);
    await checkSixJobs(dataset, base);
  },
  "killed before it has made the commits, and before it has moved the branch": async () => {
    for (const program of ["*fast-import*", "*update-ref*"]) {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      await dataset.write("six.jsonl", sixJobs("SUBMIT"));
      const batch = ["schedule", "--batch", "six.jsonl"];
      const { code } = await runInterposed(dataset, batch, {
        program: "git",
        when: program,
        before: "kill -9 $TOOL",
      });
      assert.equal(code, 137);
      assert.match(await dataset.succeed(batch), /Submitted no job; 6 jobs recorded before/);
      await checkSixJobs(dataset, base);
    }
  },
  "an input that cannot be had is told before the first of many jobs is submitted": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.write("in", "in\n");
    await dataset.write("lost", "lost\n");
    await dataset.git("annex", "add", "--quiet");
    const base = await dataset.commit("Inputs");
    await dataset.git("annex", "drop", "--quiet", "--force", "lost");
    const table = `${dataset.scratch.directory}/table.csv`;
    const names = Array.from({ length: 101 }, (_, index) => `${index},in\n`);
    const args = ["-i", "{in}", "-o", "out/{name}", "sbatch", "-H", "write.sh", "out/{name}"];
    const batch = ["schedule", "--batch", table, ...args];
    await Deno.writeTextFile(table, `name,in\n${names.join("")}last,lost\n`);
    const { code, stderr } = await dataset.tool(batch);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: The content of 1 of the inputs .*"lost"$/m);
    assert.match(stderr, /^Hint: Nothing was submitted/m);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), []);
    assert.equal(await dataset.git("rev-parse", "HEAD"), base);
    await checkNothingIsLeft(dataset);

    await Deno.writeTextFile(table, "name,in\na,in\nb,none\nc,no*\n");
    for (const argv of [batch, ["schedule", "--dry-run", ...batch.slice(1)]]) {
      const missing = await dataset.tool(argv);
      assert.equal(missing.code, 1);
      assert.match(missing.stderr, /^Error: 2 lines of the batch are wrong$/m);
      assert.match(missing.stderr, /^ {2}Line 3: The input "none" does not exist$/m);
      assert.match(missing.stderr, /^ {2}Line 4: No file matches the input "no\*"$/m);
    }
    await dataset.succeed(["schedule", "--assume-ready=inputs", "--dry-run", ...batch.slice(1)]);
  },
  "what keeps a batch from going on does not hide what it has submitted": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.write("101", "before\n");
    await dataset.git("annex", "add", "--quiet");
    await dataset.commit("An output of the last job");
    const annex = (await dataset.run(["which", "git-annex"])).stdout.trim();
    const broken = `[ "$1" = unlock ] && exit 1; exec ${annex} "$@"`;
    const env = { PATH: await dataset.pathWith({ "git-annex": broken }) };
    const table = `${dataset.scratch.directory}/table.csv`;
    const names = Array.from({ length: 101 }, (_, index) => `${index + 1}\n`);
    await Deno.writeTextFile(table, `name\n${names.join("")}`);
    const batch = ["schedule", "--batch", table, "-o", "{name}", "sbatch", "-H", "--wrap=true"];
    const { code, stdout, stderr } = await dataset.tool(batch, { env });
    assert.equal(code, 3);
    assert.match(stdout, /^Submitted and recorded 100 jobs \(\d+ to \d+\)\n$/);
    assert.match(
      stderr,
      /^1 job of the batch is not submitted\nHint: Call the same command again: .*\nError: git-annex/m,
    );
    assert.doesNotMatch(stderr, /Nothing was submitted/);
    assert.equal((await jobsSubmittedBelow(dataset.root)).length, 100);
    await checkNothingIsLeft(dataset);
    assert.match(
      await dataset.succeed(batch),
      /^Submitted and recorded 1 job \(\d+\); 100 jobs recorded before\n$/,
    );
  },
});

concurrently(noRealSlurm, {
  "all that is wrong is said at once, with its line, and nothing is submitted": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const open = await dataset.schedule(["-o", "held", "sbatch", "-H", "write.sh"]);
    const stdin = [
      '{"outputs": "fine", "command": "sbatch write.sh"}',
      '{"outputs": "held/below", "command": "sbatch write.sh"}',
      '{"outputs": "fine/too", "command": "sbatch write.sh"}',
      '{"outputs": "../x", "command": "sbatch write.sh"}',
      '{"command": "sbatch write.sh"}',
      '{"outputs": "y", "command": "sbatch {nothing}"}',
      '{"outputs": "z"}',
      "nonsense",
    ].join("\n");
    const { code, stderr, stdout } = await dataset.tool(["schedule", "--batch", "-"], { stdin });
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^Error: 7 lines of the batch are wrong$/m);
    for (
      const expected of [
        new RegExp(`Line 2: .*"held/below" overlaps with "held", .* job ${open}`),
        /Line 3: The output "fine\/too" is also that of line 1, or one lies inside/,
        /Line 4: The output "\.\.\/x" is outside the dataset/,
        /Line 5: No output is declared/,
        /Line 6: The command has an unknown placeholder "{nothing}"/,
        /Line 7: It has no command/,
        /Line 8: It is not JSON/,
      ]
    ) assert.match(stderr, expected);
    const missing = await dataset.tool(["schedule", "--batch", "-"], {
      stdin: '{"outputs": "o", "inputs": "none", "command": "sbatch write.sh"}\n',
    });
    assert.match(missing.stderr, /Line 1: The input "none" does not exist/);
    const noScript = await dataset.tool(["schedule", "--batch", "-", "sbatch", "no.sh"], {
      stdin: '{"outputs": "a"}\n{"outputs": "b"}\n{"outputs": "c"}\n',
    });
    assert.equal(noScript.code, 1);
    assert.match(
      noScript.stderr,
      /^ {2}Line 1 and 2 more: There is no batch script "no.sh"\nHint/m,
    );
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [open]);
    await checkDataset(dataset, { base, open: [open] });
  },
  "a submission that fails ends the batch; put right, it goes on": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    await dataset.write("six.jsonl", sixJobs("sbatch --partition=none write.sh out/3"));
    const batch = ["schedule", "--json", "-j1", "--batch", "six.jsonl"];
    const { code, stdout, stderr } = await dataset.tool(batch);
    assert.equal(code, 3);
    assert.deepEqual(readOutput(stdout).map(({ kind }) => kind), [
      "submitted",
      "submitted",
      "failure",
    ]);
    assert.match(stderr, /Line 3: The command submitted no job/);
    assert.match(
      stderr,
      /4 jobs of the batch are not submitted\nHint: Put right what is said above/,
    );
    await checkNothingIsLeft(dataset);
    await dataset.write("six.jsonl", sixJobs("SUBMIT"));
    await dataset.succeed(batch);
    await checkSixJobs(dataset, base);
  },
  "what is the same with all lines is said once": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("new.sh", "#!/bin/sh\n");
    // Outputs of their own: a busy Slurm may leave it in doubt whether a job was submitted.
    let calls = 0;
    const batch = (...args: string[]) => {
      calls++;
      const stdin = [1, 2, 3].map((number) => `{"outputs": "${calls}-${number}"}`).join("\n");
      return dataset.tool(["schedule", "-j3", "--batch", "-", ...args, "new.sh"], { stdin });
    };
    const warning = /^Warning: .*no clone can run the job again: "new\.sh" \(not committed\)$/gm;
    assert.equal((await batch("--dry-run", "sbatch")).stderr.match(warning)?.length, 1);
    const failed = await batch("sbatch", "--partition=none");
    assert.equal(failed.code, 3);
    assert.equal(failed.stderr.match(/^Hint: See the partitions/gm)?.length, 1);
    assert.equal(failed.stderr.match(/^ {2}Exit code: 1$/gm)?.length, 1);
    const submitted = await batch("--auto-finish", "sbatch", "-H");
    assert.equal(submitted.code, 0, submitted.stderr);
    assert.equal(submitted.stderr.match(warning)?.length, 1);
    assert.match(submitted.stdout, /^Submitted .*\nJobs \d+ to \d+ will finish them\n$/);
  },
  "interrupted, it records what is submitted, and goes on later": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    await dataset.write("six.jsonl", sixJobs("SUBMIT"));
    const batch = ["schedule", "-j1", "--batch", "six.jsonl"];
    const { code, stderr } = await runInterposed(dataset, batch, {
      program: "sbatch",
      when: "*out/2",
      before: "kill -INT $TOOL",
    });
    assert.equal(code, 130, stderr);
    await checkNothingIsLeft(dataset);
    const submitted = (await jobsSubmittedBelow(dataset.root)).length;
    assert.ok(submitted >= 2 && submitted < 6, `${submitted} were submitted`);
    assert.match(
      await dataset.succeed(batch),
      new RegExp(`recorded ${6 - submitted} jobs? .*; ${submitted} jobs recorded before`),
    );
    await checkSixJobs(dataset, base);
  },
});
