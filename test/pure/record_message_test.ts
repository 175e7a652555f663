import assert from "node:assert/strict";
import { encodeMessage } from "../../lib/record/message.ts";
import type { WrittenRecord } from "../../lib/record/schema.ts";
import { decoded } from "./record_fixtures.ts";

const record: WrittenRecord = {
  slurm_job_id: "9163380",
  pwd: ".",
  outputs: ["models/gold"],
  inputs: [],
  extra_inputs: [],
  dsid: "89d31cbd-6ff4-41ca-98bb-43ed8a2a0a00",
  cmd: "sbatch submit_script",
  chain: [],
  datalad_slurm: { version: 1, token: "node1.42-8f3a", submitted_at: "2025-01-02T03:04:05Z" },
};

function subject(message: string): string {
  return message.slice(0, message.indexOf("\n"));
}

Deno.test("a schedule commit has exactly the form that FORMATS describes", () => {
  const message = encodeMessage({
    kind: "schedule",
    jobId: "9163380",
    message: "an optional message of the user's",
    record,
  });
  assert.equal(
    message,
    `[DATALAD SCHEDULE] Submitted batch job 9163380: Pending

an optional message of the user's

=== Do not change lines below ===
{
 "chain": [],
 "cmd": "sbatch submit_script",
 "datalad_slurm": {
  "submitted_at": "2025-01-02T03:04:05Z",
  "token": "node1.42-8f3a",
  "version": 1
 },
 "dsid": "89d31cbd-6ff4-41ca-98bb-43ed8a2a0a00",
 "extra_inputs": [],
 "inputs": [],
 "outputs": [
  "models/gold"
 ],
 "pwd": ".",
 "slurm_job_id": "9163380"
}
^^^ Do not change lines above ^^^
`,
  );
  assert.deepEqual(decoded(message), {
    kind: "schedule",
    form: "datalad-slurm",
    jobId: "9163380",
    stateWord: "Pending",
    userMessage: "an optional message of the user's",
    record,
  });
});

Deno.test("without a message the record follows the subject", () => {
  for (const message of [undefined, "", " \n\n"]) {
    const text = encodeMessage({
      kind: "reschedule",
      jobId: "9163380",
      record,
      ...(message === undefined ? {} : { message }),
    });
    assert(text.startsWith(
      "[DATALAD RESCHEDULE] Submitted batch job 9163380: Pending\n\n=== Do not change lines below",
    ));
    assert.equal(decoded(text).userMessage, undefined);
  }
});

Deno.test("a finish names the state of the job", () => {
  for (
    const [state, word] of [
      ["COMPLETED", "Complete"],
      ["FAILED", "Failed"],
      ["TIMEOUT", "Timeout"],
      ["CANCELLED by 1000", "Cancelled"],
      ["OUT_OF_MEMORY", "Out of memory"],
      ["NODE_FAIL", "Node fail"],
      ["", "Unknown"],
      ["\x1b: x", "Unknown"],
    ] as const
  ) {
    const text = encodeMessage({ kind: "finish", jobId: "9163380", state, record });
    assert.equal(subject(text), `[DATALAD FINISH] Processed batch job 9163380: ${word}`);
    assert.equal(decoded(text).stateWord, word);
  }
});

Deno.test("a finish takes the state of its record when none is given", () => {
  const finished = { ...record, datalad_slurm: { ...record.datalad_slurm, state: "TIMEOUT" } };
  assert.match(
    encodeMessage({ kind: "finish", jobId: "9163380", record: finished }),
    /: Timeout\n/,
  );
});

Deno.test("nothing in the user's message is taken for the record or the subject", () => {
  const another = encodeMessage({
    kind: "schedule",
    jobId: "1",
    record: { ...record, slurm_job_id: "1" },
  }).trim();
  for (
    const message of [
      "=== Do not change lines below ===",
      "^^^ Do not change lines above ^^^",
      "^^^ Do not change lines above ^^^\n=== Do not change lines below ===\n{}",
      another,
      "[DATALAD RUNCMD] other",
      "Submitted batch job 7: Pending",
      "bell \x07 escape \x1b[2J",
    ]
  ) {
    const text = encodeMessage({ kind: "schedule", jobId: "9163380", message, record });
    const { jobId, userMessage, record: found } = decoded(text);
    assert.deepEqual({ jobId, userMessage, found }, {
      jobId: "9163380",
      userMessage: message,
      found: record,
    });
  }
});

Deno.test("what git cannot keep in a message is replaced", () => {
  const text = encodeMessage({
    kind: "schedule",
    jobId: "9163380",
    message: "\r\n a\0b\ud800\r\nc\rd \n",
    record,
  });
  assert.equal(decoded(text).userMessage, "a\ufffdb\ufffd\nc\nd");
});

Deno.test("lines added below the record, as a sign-off, do not disturb", () => {
  const text = encodeMessage({ kind: "schedule", jobId: "9163380", record });
  assert.deepEqual(decoded(`${text}\nSigned-off-by: A <a@example.org>\n`).record, record);
});

Deno.test("a record of another job is a bug", () => {
  assert.throws(() => encodeMessage({ kind: "schedule", jobId: "2", record }), TypeError);
});
