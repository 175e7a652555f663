/** The tool as a person sees it: on a terminal of tmux, while it works and afterwards. */
import assert from "node:assert/strict";
import { acquireLock } from "../../lib/store/lock.ts";
import { assertGolden, GoldenDataset } from "../support/golden.ts";
import { noTmux, TmuxSession } from "../support/tmux.ts";

const jobs = [
  { id: "9163380", state: "COMPLETED", ago: 8000, outputs: ["results", "測定/結果.csv"] },
  { id: "9163381", state: "RUNNING", ago: 185, outputs: ["a.csv", "b.csv", "c.csv", "d.csv"] },
  { id: "9163382", state: "PENDING", reason: "Resources", ago: 20_000, outputs: ["mean"] },
];

/** Numbers that differ from run to run. */
function steady(screen: string): string {
  return screen.replace(/\b[0-9a-f]{40}\b/g, "c".repeat(40))
    .replace(/^[0-9a-f]{10}\b/gm, "c".repeat(10))
    .replace(/Waiting \d+(?:\.\d)? s/g, "Waiting N s")
    .replace(/\d+(?:\.\d)?(?= [kM]B| s\b)/g, "N")
    .replace(/held by .*/g, "held by …") + "\n";
}

Deno.test({
  name: "waiting shows one line, which is gone when the work is done; tables fit the terminal",
  ignore: noTmux,
  async fn() {
    await using dataset = await GoldenDataset.make(jobs);
    await using tmux = await TmuxSession.open(dataset.scratch, dataset.root, await dataset.user());
    await tmux.type("datalad-slurm status");
    const table = await tmux.until("the table", (screen) => /mean\n\$$/.test(screen));
    await tmux.clear();
    const lock = await acquireLock({
      directory: `${dataset.root}/.git/datalad-slurm/lock`,
      command: "another command",
      fence: () => Promise.resolve(),
    });
    await tmux.type("datalad-slurm schedule -o out sbatch job.sh");
    const waiting = await tmux.until(
      "who waits",
      (screen) => /Waiting .* for the rep/.test(screen),
    );
    assert.equal(waiting.split("\n").length, 2, waiting);
    lock.release();
    const done = await tmux.until("the commit", (screen) => /in commit .*\n\$$/.test(screen));
    await assertGolden(
      "session",
      [table, waiting, done].map(steady).join("---\n"),
    );
  },
});

Deno.test({
  name: "a Slurm that lets one wait is named, until it answers",
  ignore: noTmux,
  async fn() {
    await using dataset = await GoldenDataset.make(jobs);
    await using tmux = await TmuxSession.open(dataset.scratch, dataset.root, await dataset.user());
    const slow = `${dataset.scratch}/slow`;
    await tmux.type(`mkdir ${slow} && mkfifo ${slow}/answer && fast=$(command -v sacct)`);
    await Deno.writeTextFile(
      `${dataset.scratch}/sacct`,
      `#!/bin/sh\nread -r _ <'${slow}/answer'\nexec "$fast" "$@"\n`,
      { mode: 0o755 },
    );
    await tmux.type(`clear; fast=$fast PATH=${dataset.scratch}:$PATH datalad-slurm status`);
    const waiting = await tmux.until("what is waited for", (screen) => /Waiting/.test(screen));
    assert.match(waiting, /^Waiting for sacct's answer: \d+ s$/m);
    await Deno.writeTextFile(`${slow}/answer`, "now\n");
    const table = await tmux.until("the table", (screen) => /mean\n\$$/.test(screen));
    assert.doesNotMatch(table, /Waiting/);
  },
});

Deno.test({
  name: "fetching shows count, bytes, rate and time left on one line, and leaves a summary",
  ignore: noTmux,
  async fn() {
    await using dataset = await GoldenDataset.make();
    await dataset.annexInputs({ "one.dat": 6_000_000, "three.dat": 6_000_000 }, "2MB");
    await using tmux = await TmuxSession.open(dataset.scratch, dataset.root, await dataset.user());
    await tmux.type("datalad-slurm schedule -i one.dat -i three.dat -o out sbatch job.sh");
    const progress =
      /^Fetching inputs: [01] of 2, \d\.\d [kM]B of 12\.0 MB, \d+\.\d [kM]B\/s, .*\d s left$/m;
    const working = await tmux.until("progress", (screen) => progress.test(screen));
    assert.equal(working.match(/Fetching inputs/g)?.length, 1, working);
    const done = await tmux.until("the commit", (screen) => /in commit .*\n\$$/.test(screen));
    assert.match(done, /^Fetching inputs: 2 done, 12\.0 MB, in [\d.]+ s$/m);
    assert.equal(done.match(/Fetching inputs/g)?.length, 1, done);
  },
});
