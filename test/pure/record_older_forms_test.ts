import assert from "node:assert/strict";
import { decodeMessage } from "../../lib/record/message.ts";
import { parseSidecar } from "../../lib/record/sidecar.ts";
import { decoded, decodeFixture, fixture } from "./record_fixtures.ts";

Deno.test("a schedule commit of 2025-01 is read", () => {
  const { kind, form, jobId, stateWord, userMessage, record } = decodeFixture("schedule-2025-01");
  assert.deepEqual({ kind, form, jobId, stateWord, userMessage }, {
    kind: "schedule",
    form: "extension-2024",
    jobId: "45",
    stateWord: "Pending",
    userMessage: undefined,
  });
  assert.equal(record["incomplete_job_number"], 20);
  assert.equal(record.exit, 0);
});

Deno.test("a finish commit of 2025-01 is read", () => {
  const { kind, form, jobId, stateWord } = decodeFixture("finish-2025-01");
  assert.deepEqual({ kind, form, jobId, stateWord }, {
    kind: "finish",
    form: "extension-2024",
    jobId: "45",
    stateWord: "Completed",
  });
});

Deno.test("in the form of 2024 the user's message comes before the job", () => {
  const subject = "Submitted batch job 45: Pending";
  const message = (words: string) => fixture("schedule-2025-01").replace(subject, words + subject);
  for (
    const [words, userMessage] of [
      ["my words ", "my words"],
      ["[DATALAD ] two\nlines\n\nand more\n ", "[DATALAD ] two\nlines\n\nand more"],
      ["Submitted batch job 3: Pending ", "Submitted batch job 3: Pending"],
      ["Submitted batch job 3: Pending\n", "Submitted batch job 3: Pending"],
      ["Processed batch job 4: Complete ", "Processed batch job 4: Complete"],
    ] as const
  ) {
    const { jobId, stateWord, ...rest } = decoded(message(words));
    assert.deepEqual(
      { jobId, stateWord, userMessage: rest.userMessage },
      { jobId: "45", stateWord: "Pending", userMessage },
    );
  }
});

Deno.test("a run of 0.2.5 is read, with its numeric id and slurm_outputs in the present form", () => {
  const { kind, form, jobId, stateWord, userMessage, record } = decodeFixture("slurm-run-0.2.5");
  assert.deepEqual({ kind, form, jobId, stateWord, userMessage }, {
    kind: "run",
    form: "extension-0.2.5",
    jobId: "23",
    stateWord: "Completed",
    userMessage: undefined,
  });
  assert.equal(record.slurm_job_id, "23");
  assert.deepEqual(record.slurm_run_outputs, ["log.slurm-23.out", "slurm-job-23.env.json"]);
  assert(!("slurm_outputs" in record));
  assert.equal(record.alt_dir, "");
});

Deno.test("a failed array of 0.2.5 keeps what it says below the subject", () => {
  const { stateWord, userMessage } = decodeFixture("slurm-run-failed-array-0.2.5");
  assert.equal(stateWord, "Array failed (some complete)");
  assert.match(userMessage ?? "", /^Slurm job\(s\) for job 604 .*\n\nthree tasks, ünïcode$/s);
});

Deno.test("a message that repeats an older one is that of the newer job", () => {
  const { jobId, userMessage, record } = decodeFixture("slurm-run-rescheduled-0.2.5");
  assert.equal(jobId, "607");
  assert.deepEqual(record.chain, ["0fdb608cb5d0c0f0f278affcadbfaee8b185bf5b"]);
  assert.match(userMessage ?? "", /\n\nSlurm job 604: Array failed .*job 604\.$/s);
});

Deno.test("a message that repeats an older one with its record has the newer record", () => {
  const older = fixture("slurm-run-0.2.5");
  const newer = fixture("slurm-run-rescheduled-0.2.5").replace("Re-submission of job 604.", older);
  assert.equal(decoded(newer).record.slurm_job_id, "607");
});

Deno.test("lines may end as on Windows", () => {
  const message = fixture("slurm-run-failed-array-0.2.5");
  assert.deepEqual(decoded(message.replaceAll("\n", "\r\n")), decoded(message));
});

Deno.test("lists and a dataset id that an older record lacks are empty and absent", () => {
  const message = "[DATALAD SCHEDULE] Submitted batch job 1: Pending\n\n" +
    "=== Do not change lines below ===\n" +
    '{"cmd": ["sbatch", "a b.sh"], "dsid": null, "pwd": ".", "slurm_job_id": "1", "inputs": null}\n' +
    "^^^ Do not change lines above ^^^\n";
  assert.deepEqual(decoded(message).record, {
    chain: [],
    cmd: ["sbatch", "a b.sh"],
    extra_inputs: [],
    inputs: [],
    outputs: [],
    pwd: ".",
    slurm_job_id: "1",
  });
});

Deno.test("a quoted id stands for a sidecar record", () => {
  const id = "0123456789abcdef0123456789abcdef";
  const message = fixture("schedule-2025-01").replace(/\{.*\}/s, `"${id}"`);
  assert.deepEqual(decodeMessage("c0ffee", message), {
    kind: "schedule",
    form: "extension-2024",
    jobId: "45",
    stateWord: "Pending",
    userMessage: undefined,
    sidecar: id,
  });
});

Deno.test("a sidecar record is the first of its lines", () => {
  const lines = '{"cmd":"sbatch a","pwd":".","slurm_job_id":45}\n{"cmd":"other"}\n';
  assert.equal(parseSidecar("c0ffee", lines, "45").slurm_job_id, "45");
  assert.equal(parseSidecar("c0ffee", lines).cmd, "sbatch a");
});

Deno.test("commits that are not ours are left alone", () => {
  const record = fixture("schedule-2025-01").replace("[DATALAD SCHEDULE]", "[DATALAD RUNCMD]");
  for (
    const message of [
      "",
      "Fix a typo\n",
      record,
      `Revert "${fixture("schedule-2025-01")}"`,
      ` ${fixture("schedule-2025-01")}`,
      "[DATALAD] added content\n",
    ]
  ) assert.equal(decodeMessage("c0ffee", message), undefined);
});
