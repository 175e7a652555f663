import assert from "node:assert/strict";
import type { JobReport } from "../../lib/slurm/report.ts";
import { readSample } from "../support/slurm_sample.ts";
import { asStateTable, FakeSlurm, queueRow, stateRow } from "../support/fake_slurm.ts";

type Reports = Record<string, JobReport>;

const programs = (fake: FakeSlurm) => fake.calls().map(([program]) => program);

/** A record of scontrol's, of a job that ended with exit code 130. */
const shownJob = (jobId: string) =>
  readSample("scontrol_sid_22.05.8").stdout
    .replaceAll("492", jobId).replace("PENDING", "FAILED").replace("=0:0", "=130:0");

/** Puts a scontrol that reads what to show from stdin and knows some jobs, as 22.05 does it. */
function putScontrol(fake: FakeSlurm, known: readonly string[]): void {
  Deno.writeTextFileSync(`${fake.folder}/shown`, shownJob("JOB"));
  Deno.writeTextFileSync(`${fake.folder}/known`, known.map((jobId) => `${jobId}\n`).join(""));
  Deno.writeTextFileSync(
    `${fake.folder}/scontrol.awk`,
    `FILENAME ~ /shown$/ { shown = shown $0 "\\n"; next }
FILENAME ~ /known$/ { known[$0]; next }
{ print "scontrol: " $0; print >"${fake.folder}/told" }
/^quit$/ { quit = 1; exit }
/^show job / && $3 in known { record = shown; gsub("JOB", $3, record); printf "%s", record; next }
{ print "slurm_load_jobs error: Invalid job id specified" >"/dev/stderr"; code = 1 }
END { exit quit ? code : 2 }
`,
  );
  fake.put("scontrol", {
    shell: `cd ${fake.folder}; exec /usr/bin/awk -f scontrol.awk shown known -`,
  });
}

/** Returns what scontrol was told on stdin, line by line. */
const told = (fake: FakeSlurm) => Deno.readTextFileSync(`${fake.folder}/told`).trim().split("\n");

Deno.test("one sacct call answers for all jobs that are over, and nobody else is asked", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: asStateTable("sacct_states1_22.05.8") });
  const jobs = ["507", "511"].map((jobId) => ({ jobId }));
  const answer = await fake.ask<Reports>("query", {
    jobs: [...jobs, { jobId: "516", expected: "0-5%2" }],
  });
  assert.deepEqual(Object.values(answer).map(({ state }) => state), Array(3).fill("FAILED"));
  assert.deepEqual(programs(fake), ["sacct"]);
});

Deno.test("one squeue call confirms all jobs that accounting calls live", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: asStateTable("sacct_states1_22.05.8") });
  fake.put("squeue", {
    stdout: queueRow("508", "RUNNING") + queueRow("513", "SUSPENDED") +
      queueRow("517", "PENDING", "DependencyNeverSatisfied"),
  });
  const jobs = ["507", "508", "511", "513", "517"].map((jobId) => ({ jobId }));
  const answer = await fake.ask<Reports>("query", {
    jobs: [...jobs, { jobId: "516", expected: "0-5%2" }],
  });
  assert.deepEqual(
    Object.values(answer).map(({ jobId, phase, state }) => `${jobId} ${phase} ${state}`),
    [
      "507 failed FAILED",
      "508 running RUNNING",
      "511 failed FAILED",
      "513 running SUSPENDED",
      "516 failed FAILED",
      "517 pending PENDING",
    ],
  );
  assert.equal(answer["507"]?.signal, 9);
  assert.deepEqual(fake.calls().map((call) => `${call[0]} ${call.at(-1)}`), [
    "sacct --jobs=507,508,511,513,517,516",
    "squeue --jobs=508,513,517",
  ]);
});

Deno.test("what changes the answers is taken out of the environment", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: stateRow("5", "COMPLETED") });
  await fake.ask("query", { jobs: [{ jobId: "5" }] }, {
    SACCT_FORMAT: "JobName",
    SLURM_CLUSTERS: "other",
    SLURM_TIME_FORMAT: "relative",
    SLURM_CONF: "/somewhere",
  });
  const slurm = fake.environmentOf("sacct").filter((line) => /^S(LURM|ACCT)_/.test(line)).sort();
  assert.deepEqual(slurm, ["SLURM_BITSTR_LEN=0", "SLURM_CONF=/somewhere", "SLURM_TIME_FORMAT=%s"]);
});

Deno.test("without any Slurm a job is unknown and each program is named as missing", async () => {
  await using fake = new FakeSlurm();
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }] });
  assert.equal(answer["5"]?.phase, "unknown");
  for (const program of ["sacct", "squeue", "scontrol"]) {
    assert.match(answer["5"]?.reason ?? "", new RegExp(`Program "${program}" is not on PATH`));
  }
});

Deno.test("a program that hangs is given up after the time limit, its children too", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { shell: "/bin/sleep 60 & wait" });
  fake.put("squeue", { shell: "exec /bin/sleep 60" });
  const started = performance.now();
  const answer = await fake.ask<Reports>("query", {
    jobs: [{ jobId: "5" }],
    options: { timeoutMs: 200 },
  });
  assert.ok(performance.now() - started < 20_000);
  assert.equal(answer["5"]?.phase, "unknown");
  assert.match(answer["5"]?.reason ?? "", /sacct did not answer within 0\.2 s/);
  assert.match(answer["5"]?.reason ?? "", /squeue did not answer within 0\.2 s/);
});

Deno.test("squeue is asked while sacct does not answer, and once", async () => {
  await using fake = new FakeSlurm();
  const pid = `${fake.folder}/pid`;
  fake.put("sacct", { shell: `echo $$ >${pid}; exec /bin/sleep 60` });
  fake.put("queue", { stdout: queueRow("5", "RUNNING") });
  // It knows the job only as long as sacct is at work.
  fake.put("squeue", { shell: `kill -0 $(/bin/cat ${pid}) && exec ${fake.folder}/bin/queue` });
  const answer = await fake.ask<Reports>("query", {
    jobs: [{ jobId: "5" }],
    options: { timeoutMs: 4_000, slowMs: 200 },
  });
  assert.equal(answer["5"]?.phase, "running");
  assert.deepEqual(programs(fake), ["sacct", "squeue", "queue"]);
});

Deno.test("squeue is let go when sacct answers late after all", async () => {
  await using fake = new FakeSlurm();
  const [begun, over] = [`${fake.folder}/begun`, `${fake.folder}/over`];
  fake.put("late", { stdout: stateRow("5", "COMPLETED") });
  fake.put("sacct", {
    shell: `while ! [ -e ${begun} ]; do /bin/sleep 0.1; done; exec ${fake.folder}/bin/late`,
  });
  fake.put("squeue", { shell: `: >${begun}; /bin/sleep 20; : >${over}` });
  const answer = await fake.ask<Reports>("query", {
    jobs: [{ jobId: "5" }],
    options: { timeoutMs: 60_000, slowMs: 200 },
  });
  assert.equal(answer["5"]?.phase, "completed");
  assert.throws(() => Deno.statSync(over), Deno.errors.NotFound);
});

Deno.test("an unknown job is told apart from programs that are down", async (test) => {
  const table: [string, string, string | undefined, RegExp[]][] = [
    ["accounting disabled", "sacct_noacct_22.05.8", "squeue_unknown1_22.05.8", [
      /accounting: it is disabled/,
      /squeue does not know the job/,
    ]],
    ["slurmdbd down", "sacct_dbd_down_22.05.8", "squeue_unknown1_22.05.8", [
      /sacct cannot reach slurmdbd/,
    ]],
    ["slurmctld down", "sacct_nosuch", "squeue_ctld_down_22.05.8", [
      /sacct has no row/,
      /squeue cannot reach slurmctld/,
    ]],
  ];
  for (const [name, sacct, squeue, expected] of table) {
    await test.step(name, async () => {
      await using fake = new FakeSlurm();
      if (sacct === "sacct_nosuch") fake.put("sacct", { stdout: "" });
      else fake.replay("sacct", sacct);
      if (squeue !== undefined) fake.replay("squeue", squeue);
      fake.replay("scontrol", "scontrol_purged_22.05.8");
      const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "99999" }] });
      assert.equal(answer["99999"]?.phase, "unknown");
      for (const pattern of expected) assert.match(answer["99999"]?.reason ?? "", pattern);
      // Nobody waits twice for a controller that is down.
      assert.equal(programs(fake).includes("scontrol"), !squeue?.includes("ctld_down"));
    });
  }
});

Deno.test("a controller that has gone silent is not asked once for every job", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", {});
  fake.replay("squeue", "squeue_badid");
  fake.replay("scontrol", "scontrol_ctld_down_22.05.8");
  const jobs = ["5", "6", "7"].map((jobId) => ({ jobId }));
  const answer = await fake.ask<Reports>("query", { jobs });
  assert.deepEqual(programs(fake), ["sacct", "squeue", "scontrol"]);
  assert.ok(Object.values(answer).every(({ phase }) => phase === "unknown"));
});

Deno.test("without accounting squeue gives the states and scontrol the exit codes", async () => {
  await using fake = new FakeSlurm();
  fake.replay("sacct", "sacct_noacct_22.05.8");
  fake.put("squeue", {
    stdout: queueRow("520", "FAILED", "NonZeroExitCode") + queueRow("6_0", "RUNNING") +
      queueRow("6_1", "COMPLETED"),
  });
  putScontrol(fake, ["520"]);
  const answer = await fake.ask<Reports>("query", {
    jobs: [{ jobId: "520" }, { jobId: "6", expected: "0-1" }],
  });
  assert.equal(answer["520"]?.phase, "failed");
  assert.equal(answer["520"]?.exitCode, 130);
  assert.equal(answer["520"]?.source, "scontrol");
  assert.equal(answer["6"]?.phase, "running");
  assert.deepEqual(fake.calls().map((call) => `${call[0]} ${call.at(-1)}`), [
    "sacct --jobs=520,6",
    "squeue --jobs=520,6",
    "scontrol scontrol",
  ]);
  assert.deepEqual(told(fake), ["show job 520", "quit"]);
});

Deno.test("scontrol is asked for the exit codes of jobs that have just failed, once for all", async () => {
  await using fake = new FakeSlurm();
  const now = String(Math.floor(Date.now() / 1000) - 60);
  const failed = (id: string, exit: string, submit = now) => stateRow(id, "FAILED", exit, submit);
  fake.put("sacct", {
    stdout: failed("520", "2:0") + failed("521", "2:0") + failed("522", "2:0", "1795359739") +
      failed("523", "0:9") + stateRow("524", "COMPLETED", "0:0", now) + failed("525", "0:53") +
      failed("526", "0:0"),
  });
  // slurmctld has forgotten one of them.
  putScontrol(fake, ["520", "526"]);
  const jobs = [520, 521, 522, 523, 524, 525, 526].map((id) => ({ jobId: `${id}` }));
  const answer = await fake.ask<Reports>("query", { jobs });
  assert.deepEqual(told(fake), [520, 521, 526].map((id) => `show job ${id}`).concat("quit"));
  assert.deepEqual(programs(fake), ["sacct", "scontrol"]);
  const exits = Object.values(answer).map(({ state, exitCode, signal }) =>
    `${state} ${exitCode}:${signal}`
  );
  assert.deepEqual(exits, [
    "FAILED 130:0",
    "FAILED 2:0",
    "FAILED 2:0",
    "FAILED 0:9",
    "COMPLETED 0:0",
    "FAILED 0:53",
    "FAILED 130:0",
  ]);
  assert.equal(answer["520"]?.source, "sacct");
});

Deno.test("a slurmctld that is down does not hold up what accounting knows", async () => {
  await using fake = new FakeSlurm();
  const now = String(Math.floor(Date.now() / 1000) - 60);
  fake.put("sacct", { stdout: stateRow("520", "FAILED", "2:0", now) });
  fake.replay("scontrol", "scontrol_ctld_down_22.05.8");
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "520" }] });
  assert.deepEqual([answer["520"]?.phase, answer["520"]?.exitCode], ["failed", 2]);
});

Deno.test("without accounting one scontrol gives the exit codes of a thousand jobs", async () => {
  await using fake = new FakeSlurm();
  fake.replay("sacct", "sacct_noacct_22.05.8");
  fake.replay("squeue", "squeue_unknown1_22.05.8");
  const ids = Array.from({ length: 1_001 }, (_, at) => String(1_000 + at));
  const unknown = new Set(["1000", "1500"]);
  putScontrol(fake, ids.filter((id) => !unknown.has(id)));
  const jobs = ids.map((jobId) => ({ jobId }));
  const answer = await fake.ask<Reports>("query", { jobs });
  assert.deepEqual(programs(fake), ["sacct", "squeue", "scontrol"]);
  assert.equal(told(fake).length, 1_001);
  const ended = Object.values(answer).filter(({ exitCode }) => exitCode === 130);
  assert.equal(ended.length, 998);
  for (const id of unknown) {
    assert.equal(answer[id]?.phase, "unknown");
    assert.match(answer[id]?.reason ?? "", /scontrol does not know the job/);
  }
  // There is a limit to what slurmctld is asked.
  assert.equal(answer["2000"]?.phase, "unknown");
});

Deno.test("jobs of another cluster are shown by that cluster's slurmctld", async () => {
  await using fake = new FakeSlurm();
  fake.replay("sacct", "sacct_noacct_22.05.8");
  fake.replay("squeue", "squeue_unknown1_22.05.8");
  putScontrol(fake, ["5"]);
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5", cluster: "far" }] });
  assert.equal(answer["5;far"]?.exitCode, 130);
  assert.deepEqual(fake.calls().at(-1), ["scontrol", "--clusters=far"]);
});

Deno.test("where scontrol did not get an answer for all jobs, those it leaves out are not over", async () => {
  const [none, silence] = ["Invalid job id specified", "Socket timed out on send/recv operation"];
  for (const [errors, phase] of [[[none, silence], "unknown"], [[none, none], "failed"]] as const) {
    await using fake = new FakeSlurm();
    fake.put("sacct", { stdout: stateRow("5", "NODE_FAIL") + stateRow("6", "NODE_FAIL") });
    fake.put("squeue", { shell: "exit 1" });
    const says = errors.map((error) => `echo 'slurm_load_jobs error: ${error}' >&2`);
    fake.put("scontrol", { shell: `${says.join("; ")}; exit 1` });
    const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }, { jobId: "6" }] });
    assert.deepEqual([answer["5"]?.phase, answer["6"]?.phase], [phase, phase], errors.join());
  }
});

Deno.test("what scontrol has said before it dies counts, but not of a job that is cut off", async () => {
  await using fake = new FakeSlurm();
  fake.replay("sacct", "sacct_noacct_22.05.8");
  fake.replay("squeue", "squeue_unknown1_22.05.8");
  const task = (index: number) =>
    shownJob(`6${index}`).replace(`JobId=6${index} `, `$&ArrayJobId=6 ArrayTaskId=${index} `);
  const cut = task(2).split("=130:0")[0];
  Deno.writeTextFileSync(`${fake.folder}/shown`, `${shownJob("5")}${task(1)}${cut}=1`);
  fake.put("scontrol", { shell: `/bin/cat ${fake.folder}/shown; kill -KILL $$` });
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }, { jobId: "6" }] });
  assert.deepEqual([answer["5"]?.phase, answer["5"]?.exitCode], ["failed", 130]);
  assert.equal(answer["6"]?.phase, "unknown");
});

Deno.test("a job that accounting does not have yet is found in the queue", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: stateRow("5", "COMPLETED") });
  fake.put("squeue", { stdout: queueRow("6", "PENDING", "Dependency") });
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }, { jobId: "6" }] });
  assert.equal(answer["5"]?.source, "sacct");
  assert.deepEqual([answer["6"]?.phase, answer["6"]?.source, answer["6"]?.reason], [
    "pending",
    "squeue",
    "Dependency",
  ]);
  assert.equal(fake.calls().at(-1)?.at(-1), "--jobs=6");
});

Deno.test("a job that runs in accounting alone is a runaway, unless slurmctld gives no answer", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: stateRow("5", "RUNNING") + stateRow("6", "RUNNING") });
  fake.put("squeue", { stdout: queueRow("6", "RUNNING") });
  const jobs = [{ jobId: "5" }, { jobId: "6" }];
  const answer = await fake.ask<Reports>("query", { jobs });
  assert.deepEqual([answer["5"]?.phase, answer["6"]?.phase], ["unknown", "running"]);
  assert.match(answer["5"]?.reason ?? "", /Accounting has RUNNING.*squeue has no row of the job/);
  fake.replay("squeue", "squeue_ctld_down_22.05.8");
  const alone = await fake.ask<Reports>("query", { jobs });
  assert.deepEqual([alone["5"]?.phase, alone["5"]?.reason], [
    "running",
    "squeue cannot reach slurmctld",
  ]);
});

Deno.test("a preempted job that is queued again is live", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: stateRow("5", "PREEMPTED") + stateRow("6", "PREEMPTED") });
  fake.put("squeue", { stdout: queueRow("5", "PENDING", "BeginTime") });
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }, { jobId: "6" }] });
  assert.equal(answer["5"]?.phase, "pending");
  assert.deepEqual([answer["6"]?.phase, answer["6"]?.state], ["failed", "PREEMPTED"]);
});

Deno.test("what is no job id reaches no program and harms no other job", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: stateRow("5", "COMPLETED") });
  const answer = await fake.ask<Reports>("query", {
    jobs: [{ jobId: "5" }, { jobId: "abc" }, { jobId: "--help" }],
  });
  assert.equal(answer["5"]?.phase, "completed");
  assert.equal(answer["abc"]?.phase, "unknown");
  assert.match(answer["--help"]?.reason ?? "", /not a job id/);
  assert.equal(fake.calls()[0]?.at(-1), "--jobs=5");
});

Deno.test("a row from before the submission is no answer", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: stateRow("5", "COMPLETED") });
  fake.replay("squeue", "squeue_unknown1_22.05.8");
  fake.replay("scontrol", "scontrol_nosuch_22.05.8");
  const submittedAt = new Date((1795359739 + 86400) * 1000).toISOString();
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5", submittedAt }] });
  assert.equal(answer["5"]?.phase, "unknown");
  assert.match(answer["5"]?.reason ?? "", /no current row/);
});

Deno.test("a job that squeue has with a later submit time is ours only if it was restarted", async () => {
  await using fake = new FakeSlurm();
  fake.replay("sacct", "sacct_noacct_22.05.8");
  fake.put("squeue", { stdout: queueRow("492", "PENDING", "BeginTime") });
  const shown = (restarts: number) => ({
    stdout: readSample("scontrol_sid_22.05.8").stdout.replace(
      "Restarts=0",
      `Restarts=${restarts}`,
    ),
  });
  const slurmSubmit = new Date(1795359000 * 1000).toISOString();
  for (const [restarts, phase] of [[1, "pending"], [0, "unknown"]] as const) {
    fake.put("scontrol", shown(restarts));
    const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "492", slurmSubmit }] });
    assert.equal(answer["492"]?.phase, phase);
  }
});

Deno.test("a column that an old sacct refuses is left out", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", {
    shell: `case "$*" in
*Reason*) echo 'sacct: error: Invalid field requested: "Reason"' >&2; exit 1 ;;
*) printf '5\\0375\\037FAILED\\0373:0\\0371795359739\\0371795359740\\0371795359741\\n' ;;
esac`,
  });
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }] });
  assert.deepEqual([answer["5"]?.phase, answer["5"]?.exitCode, answer["5"]?.end], [
    "failed",
    3,
    1795359741,
  ]);
});

Deno.test("what sacct has said before it fails does not count, and its output is named", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", { stdout: stateRow("5", "COMPLETED"), stderr: "lost my mind", code: 1 });
  fake.put("squeue", { stdout: queueRow("5", "RUNNING") });
  const live = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }] });
  assert.deepEqual([live["5"]?.phase, live["5"]?.source], ["running", "squeue"]);
  fake.put("sacct", { stdout: "No licence for sacct today\n", code: 1 });
  fake.put("squeue", { stderr: "slurm_load_jobs error: Invalid job id specified", code: 1 });
  fake.put("scontrol", { stderr: "slurm_load_jobs error: Invalid job id specified", code: 1 });
  const answer = await fake.ask<Reports>("query", { jobs: [{ jobId: "5" }] });
  assert.equal(answer["5"]?.phase, "unknown");
  assert.match(answer["5"]?.reason ?? "", /sacct failed with exit code 1: No licence for sacct/);
});

Deno.test("jobs of another cluster are asked for there, under a key of their own", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", {
    shell: `case "$*" in
*--clusters=far*) printf '5\\0375\\037FAILED\\0371:0\\037\\037\\037\\037\\n' ;;
*) printf '5\\0375\\037COMPLETED\\0370:0\\037\\037\\037\\037\\n' ;;
esac`,
  });
  const answer = await fake.ask<Reports>("query", {
    jobs: [{ jobId: "5" }, { jobId: "5", cluster: "far" }],
  });
  assert.deepEqual([answer["5"]?.phase, answer["5;far"]?.phase], ["completed", "failed"]);
  assert.equal(fake.calls().length, 2);
});

Deno.test("twenty thousand jobs and an array as large cost a few calls", async () => {
  await using fake = new FakeSlurm();
  const ids = Array.from({ length: 20_000 }, (_, at) => String(1_000_000 + at));
  fake.put("sacct", {
    stdout: ids.map((id) => stateRow(id, "COMPLETED")).join("") +
      ids.map((_, task) => stateRow(`7_${task}`, "COMPLETED")).join(""),
  });
  const jobs = [...ids.map((jobId) => ({ jobId })), { jobId: "7", expected: "0-19999%100" }];
  const answer = await fake.ask<Reports>("query", { jobs });
  assert.equal(Object.values(answer).filter(({ phase }) => phase === "completed").length, 20_001);
  assert.equal(answer["7"]?.tasks?.[0]?.indices, "0-19999");
  assert.deepEqual(programs(fake), ["sacct", "sacct"]);
});

/** Returns one row of the question for what tasks ran with. */
const runRow = (id: string, raw: string, nodes: string, submit = "1795359739") =>
  [id, raw, nodes, submit].join("\x1f") + "\n";

type Runs = Record<string, unknown[]>;

Deno.test("sacct tells what ids and nodes tasks ran with, scontrol of tasks it leaves out", async () => {
  await using fake = new FakeSlurm();
  fake.put("sacct", {
    stdout: runRow("516_0", "516", "n1") + runRow("516_1", "520", "node[08-11,20],m1") +
      runRow("516_[4-5%2]", "516", "None assigned") + runRow("7", "7", "a-[1,3]-b") +
      // Of an earlier and a later use of the id.
      runRow("8", "8", "n1", "1600000000") + runRow("9", "9", "n1", "1795359900") +
      // Of a heterogeneous job the leader has the log.
      runRow("30+0", "30", "n[1-2]") + runRow("30+1", "31", "m5"),
  });
  const shown = readSample("scontrol_array_task_22.05.8").stdout;
  fake.put("scontrol", { stdout: shown });
  const answer = await fake.ask<Runs>("runs", {
    jobs: [
      { jobId: "516", expected: "0,1,3" },
      { jobId: "7" },
      { jobId: "8", submittedAt: "2026-01-01T00:00:00Z" },
      { jobId: "9", end: 1795359800 },
      { jobId: "30" },
      { jobId: "no id" },
    ],
  });
  assert.deepEqual(answer, {
    "516": [
      true,
      [0, { jobId: "516", node: "n1" }],
      [1, { jobId: "520", node: "node08" }],
      [3, { jobId: "522", node: "n1" }],
    ],
    "7": [true, [null, { jobId: "7", node: "a-1-b" }]],
    "8": [false],
    "9": [false],
    "30": [true, [null, { jobId: "30", node: "n1" }]],
  });
  assert.deepEqual(fake.calls().map(([program, ...words]) => `${program} ${words.at(-1) ?? ""}`), [
    "sacct --jobs=516,7,8,9,30",
    "scontrol ",
  ]);
});

Deno.test("what nobody tells of the runs of a job is left out", async () => {
  const jobs = [{ jobId: "516", expected: "0-1" }];
  await using fake = new FakeSlurm();
  fake.replay("sacct", "sacct_noacct_22.05.8");
  fake.replay("scontrol", "scontrol_purged_22.05.8");
  assert.deepEqual(await fake.ask("runs", { jobs }), { "516": [false] });
  // Of an answer that ends in an error no row counts: others may be missing.
  fake.put("sacct", { stdout: runRow("516_0", "516", "n1"), stderr: "sacct: error: x", code: 1 });
  assert.deepEqual(await fake.ask("runs", { jobs }), { "516": [false] });
  // A row that came before the job had a node says nothing of it.
  fake.put("sacct", { stdout: runRow("7", "7", "None assigned") });
  fake.put("scontrol", {
    stdout: readSample("scontrol_sid_22.05.8").stdout.replaceAll("492", "7")
      .replace(/ NodeList=.*/, " NodeList=n4"),
  });
  assert.deepEqual(await fake.ask("runs", { jobs: [{ jobId: "7" }] }), {
    "7": [true, [null, { jobId: "7", node: "n4" }]],
  });
});

Deno.test("an owner's job is asked about at its own cluster, and no other use of its id counts", async () => {
  const now = Math.floor(Date.now() / 1000);
  const row = (state: string, end: number) =>
    ["42", "42", state, "0:0", end - 20, end - 10, end, "None"].join("\x1f") + "\n";
  const complete = row("COMPLETED", now - 5);
  for (
    const [cluster, local, other, over] of [
      [undefined, complete, "", true],
      [undefined, row("COMPLETED", now - 90_000_000), "", "unknown"],
      ["here", complete, row("RUNNING", now), true],
      ["other", complete, row("RUNNING", now), "unknown"],
      ["other", row("RUNNING", now), complete, true],
      ["other", complete, "", "unknown"],
    ] as const
  ) {
    await using fake = new FakeSlurm();
    Deno.writeTextFileSync(`${fake.folder}/local`, local);
    Deno.writeTextFileSync(`${fake.folder}/other`, other);
    fake.put("sacct", {
      shell: `case "$*" in *clusters=other*) /bin/cat ${fake.folder}/other ;; ` +
        `*clusters*) exit 1 ;; *) /bin/cat ${fake.folder}/local ;; esac`,
    });
    fake.put("squeue", { stdout: "" });
    fake.put("scontrol", {
      shell: `case "$*" in "show config") echo 'ClusterName             = here' ;; esac`,
    });
    const owner = {
      slurmJobId: "42",
      ...(cluster === undefined ? {} : { slurmCluster: cluster }),
    };
    assert.equal(await fake.ask("over", { owner, at: (now - 60) * 1000 }), over);
  }
});
