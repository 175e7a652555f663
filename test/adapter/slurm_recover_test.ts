import assert from "node:assert/strict";
import type { JobAccounting } from "../../lib/slurm/account.ts";
import type { Recovery } from "../../lib/slurm/recover.ts";
import { FakeSlurm } from "../support/fake_slurm.ts";

const NOW = Math.floor(Date.now() / 1000);
const INPUT = {
  trace: { token: "tok=7/", sessionId: 4700, host: "login1.example.org", since: NOW * 1000 },
  options: { timeoutMs: 10_000 },
};
const submitLine = (id: string, line: string) => `${id}\x1ftest\x1f${NOW}\x1f${line}\x1f${id}\n`;
const queueLine = (id: string, host: string, sid = 4700, submit = NOW) =>
  `${id}   ${host}   ${sid}   ${submit}\n`;

Deno.test("a lost submission is found by its session before accounting has it", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: submitLine("6", "sbatch a.sh") });
  fake.put("squeue", { stdout: queueLine("7", "login1") + queueLine("8", "login1", 4701) });
  assert.deepEqual((await fake.ask<Recovery>("recover", INPUT)).found, [{ jobId: "7" }]);
  // slurmctld on the same host knows it as localhost (22.05).
  fake.put("squeue", { stdout: queueLine("9", "localhost") });
  assert.deepEqual((await fake.ask<Recovery>("recover", INPUT)).found, [{ jobId: "9" }]);
});

Deno.test("a lost submission is found by its token after the queue has forgotten it", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: submitLine("7", "tok=7/sbatch --wrap a\nb") });
  fake.put("squeue", {});
  const answer = await fake.ask<Recovery>("recover", INPUT);
  assert.deepEqual(answer.found, [{ jobId: "7", cluster: "test" }]);
});

Deno.test("nothing found is conclusive only when both programs answered", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", {});
  fake.put("squeue", {});
  const answer = await fake.ask<Recovery>("recover", INPUT);
  assert.deepEqual([answer.found, answer.conclusive], [[], true]);
  for (
    const [program, sample] of [["sacct", "sacct_noacct_22.05.8"], [
      "squeue",
      "squeue_ctld_down_22.05.8",
    ]] as const
  ) {
    await using broken = new FakeSlurm();
    broken.put("sacct", {});
    broken.put("squeue", {});
    broken.replay(program, sample);
    assert.equal((await broken.ask<Recovery>("recover", INPUT)).conclusive, false);
  }
});

Deno.test("a sacct that tells no submit lines is conclusive when it has no job at all", async () => {
  const refuse = `case "$*" in *SubmitLine*) ` +
    `echo 'sacct: error: Invalid field requested: "SubmitLine"' >&2; exit 1;; esac`;
  const earlier = `6\x1ftest\x1f${NOW - 5000}\x1f6\n`;
  for (
    const [rows, conclusive, said] of [
      ["", true, "sacct names no such job"],
      [earlier, true, "sacct names no such job"],
      [
        `${earlier}7\x1ftest\x1f${NOW}\x1f7\n8_1\x1ftest\x1f${NOW}\x1f9\n`,
        false,
        "sacct does not say how your jobs since then were submitted: 7, 8",
      ],
    ] as const
  ) {
    await using fake = new FakeSlurm();
    Deno.writeTextFileSync(`${fake.folder}/rows`, rows);
    fake.put("sacct", { shell: `${refuse}\n/bin/cat ${fake.folder}/rows` });
    fake.put("squeue", {});
    const answer = await fake.ask<Recovery>("recover", INPUT);
    assert.deepEqual([answer.found, answer.conclusive], [[], conclusive]);
    assert.ok(answer.asked.includes(said), answer.asked.join("\n"));
    // slurmctld tells where it came from all the same.
    fake.put("squeue", { stdout: queueLine("7", "login1") });
    assert.deepEqual((await fake.ask<Recovery>("recover", INPUT)).found, [{ jobId: "7" }]);
  }
});

Deno.test("a cluster that sbatch was told of is asked by its name, and its silence is no answer", async () => {
  const input = { ...INPUT, trace: { ...INPUT.trace, namedClusters: ["other"] } };
  const row = `7   login1   4700   ${NOW}   other   PENDING   JobHeldUser`;
  for (
    const [otherSays, found, conclusive] of [
      [`echo '${row}'`, [{ jobId: "7", cluster: "other" }], true],
      ["echo 'squeue: error: Socket timed out on send/recv operation' >&2; exit 1", [], false],
      [`echo "squeue: error: No cluster 'other' known by database." >&2; exit 1`, [], true],
      ["", [], true],
    ] as const
  ) {
    await using fake = new FakeSlurm();
    fake.put("sacct", {});
    fake.put("squeue", {
      shell: `case "$*" in *clusters=all*) exit 1 ;; *clusters=other*) ${otherSays} ;; esac`,
    });
    const answer = await fake.ask<Recovery>("recover", input);
    assert.deepEqual([answer.found, answer.conclusive], [found, conclusive], otherSays);
  }
});

Deno.test("a session of that number on another host, or an earlier one, needs the token too", async () => {
  const queues = [queueLine("9", "login2"), queueLine("9", "login1", 4700, NOW - 60)];
  for (
    const [queue, line, found, conclusive] of queues.flatMap((queue) =>
      [
        [queue, "tok=7/sbatch", ["9"], true],
        [queue, "sbatch", [], true],
        [queue, undefined, [], false],
      ] as const
    )
  ) {
    await using fake = new FakeSlurm();
    fake.put("squeue", { stdout: queue });
    if (line !== undefined) await Deno.writeTextFile(`${fake.folder}/row`, submitLine("9", line));
    fake.put("sacct", {
      shell: `case "$*" in *--jobs=9*) /bin/cat '${fake.folder}/row' 2>/dev/null; exit 0 ;; esac`,
    });
    const answer = await fake.ask<Recovery>("recover", INPUT);
    assert.deepEqual(answer.found.map(({ jobId }) => jobId), found);
    assert.equal(answer.conclusive, conclusive);
  }
});

Deno.test("a job of another cluster is judged by that cluster's accounting, and by no old row", async () => {
  const queue = `9   login1-ib   4700   ${NOW}   other   RUNNING   None`;
  const row = (submit: number, line: string) => `9\x1fb\x1f${submit}\x1f${line}\x1f9\n`;
  const ours = [{ jobId: "9", cluster: "b" }];
  for (
    const [local, other, found, conclusive] of [
      [row(NOW, "sbatch a"), row(NOW, "tok=7/sbatch"), ours, true],
      [row(NOW, "sbatch a"), "", [], false],
      ["", row(NOW - 90_000_000, "sbatch a"), [], false],
      ["", row(NOW, "sbatch a"), [], true],
    ] as const
  ) {
    await using fake = new FakeSlurm();
    Deno.writeTextFileSync(`${fake.folder}/local`, local);
    Deno.writeTextFileSync(`${fake.folder}/other`, other);
    fake.put("squeue", { shell: `case "$*" in *clusters=all*) echo '${queue}' ;; esac` });
    fake.put("sacct", {
      shell: `case "$*" in *clusters=other*jobs=9*|*jobs=9*clusters=other*) ` +
        `/bin/cat ${fake.folder}/other ;; *jobs=9*) /bin/cat ${fake.folder}/local ;; esac`,
    });
    const answer = await fake.ask<Recovery>("recover", INPUT);
    assert.deepEqual([answer.found, answer.conclusive], [found, conclusive]);
  }
});

Deno.test("accounting is read for all jobs in one call and never fails", async () => {
  await using fake = new FakeSlurm();
  const row = (id: string, state: string, rss: string) =>
    [id, id, state, "0:0", "0:0", NOW, NOW, NOW + 5, 5, "UNLIMITED", 2, 2, "4000M", rss]
      .concat(["", "", "00:04.500", 1, "n1", "main", "test", 10]).join("\x1f") + "\n";
  fake.put("sacct", {
    stdout: row("5", "COMPLETED", "") + row("5.batch", "COMPLETED", "3M") + row("6", "FAILED", ""),
  });
  const jobs = [{ jobId: "5" }, { jobId: "6" }, { jobId: "7" }, { jobId: "x" }];
  const answer = await fake.ask<Record<string, JobAccounting>>("account", { jobs });
  assert.deepEqual(Object.keys(answer), ["5", "6"]);
  assert.equal(answer["5"]?.max_rss_bytes, 3 * 1024 ** 2);
  assert.equal(answer["5"]?.cpu_seconds, 4.5);
  assert.equal(answer["5"]?.time_limit_seconds, undefined);
  assert.deepEqual(fake.calls().map((call) => call.at(-1)), ["--jobs=5,6,7"]);
  assert.ok(!/\bUser\b|UID|Group/.test(fake.calls()[0]?.join(" ") ?? ""));
  fake.replay("sacct", "sacct_dbd_down_22.05.8");
  assert.deepEqual(await fake.ask("account", { jobs }), {});
});
