/** The forms of Slurm's output from 20.11 to 25.11: fields that come, go and change places. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { expandPattern } from "../../lib/slurm/patterns.ts";
import { parseScontrolJobs, type ScontrolJob } from "../../lib/slurm/scontrol.ts";
import { combineRecords } from "../../lib/slurm/show_job.ts";
import { squeueStateRow } from "../../lib/slurm/squeue.ts";
import { classifyState, type JobPhase } from "../../lib/slurm/states.ts";
import { parseTable } from "../../lib/slurm/table.ts";
import { sacctStateRow } from "../../lib/slurm/sacct.ts";
import { readSample } from "../support/slurm_sample.ts";

const RECORD = readSample("scontrol_sid_22.05.8").stdout.trimEnd().split("\n")
  .filter((line) => line.trim() !== "");
const [HEAD = ""] = RECORD;
const STATE = RECORD.findIndex((line) => line.startsWith("   JobState="));
const COMMAND = RECORD.findIndex((line) => line.startsWith("   Command="));
const WHOLE = parseScontrolJobs(RECORD.join("\n"))[0];

/** Fields that no version has had, in one line or more. */
const newFields = fc.array(
  fc.tuple(
    fc.stringMatching(/^[A-Z][a-z]{2,8}Q(?::[A-Z]\w)?$/),
    fc.stringMatching(/^(?:[a-z0-9.,:*-]{0,9}|\(null\))$/),
  ).map(([name, value]) => `${name}=${value}`),
  { maxLength: 3 },
);

/** Lines with some of their words taken away, words of new fields between them, and new lines. */
function changed(lines: readonly string[], removable: RegExp): fc.Arbitrary<string[]> {
  const line = (text: string) =>
    fc.tuple(fc.constant(text.trim().split(" ")), newFields, fc.array(fc.boolean())).map(
      ([words, added, gone]) => [
        ...words.filter((word, at) => !(gone[at] === true && removable.test(word))),
        ...added,
      ],
    );
  return fc.tuple(...lines.map(line), newFields)
    .map((all) => all.filter((words) => words.length > 0).map((words) => `   ${words.join(" ")}`))
    .chain((all) => fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }));
}

const REMOVABLE =
  /^(?:RunTime|TimeMin|AccrueTime|Deadline|SuspendTime|Nice|Socks|MinCPUsNode|Power)/;

const record = fc.tuple(
  newFields.map((words) => words.filter((word) => !word.includes(":"))),
  // JobName ends where UserId begins: these two have been neighbours always.
  changed(RECORD.slice(2, STATE), REMOVABLE).map((lines) => [RECORD[1] ?? "", ...lines]),
  changed(RECORD.slice(STATE + 1, COMMAND), REMOVABLE),
  fc.shuffledSubarray(RECORD.slice(COMMAND + 1), { minLength: RECORD.length - COMMAND - 1 }),
  newFields,
).map(([inHead, before, between, after, last]) => [
  HEAD.replace(" JobName=", [" ", ...inHead.map((word) => `${word} `)].join("") + "JobName="),
  ...before,
  RECORD[STATE] ?? "",
  ...between,
  RECORD[COMMAND] ?? "",
  ...after,
  ...last.map((word) => `   ${word}`),
]);

Deno.test("a record of scontrol is read with fields unknown, absent and in another order", () => {
  assert.ok(WHOLE);
  fc.assert(
    fc.property(record, (lines) => {
      const jobs = parseScontrolJobs(`${lines.join("\n")}\n\n`);
      assert.deepEqual(jobs, [WHOLE]);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a field that a version does not have is absent, and the others are there", () => {
  const fields: [string, keyof ScontrolJob][] = [
    ["Restarts=0", "restarts"],
    ["ExitCode=0:0", "exit"],
    ["AllocNode:Sid=localhost:4700", "allocSid"],
    ["NumNodes=1", "numNodes"],
    ["SubmitTime=2026-11-22T14:59:44", "submit"],
    ["TimeLimit=UNLIMITED", "timeLimitSeconds"],
    ["   StdErr=/data/run/slurm-492.out\n", "stdErr"],
    ["   StdIn=/dev/null\n", "stdIn"],
    ["   Command=/data/run/ok.sh\n", "command"],
  ];
  const text = `${RECORD.join("\n")}\n`;
  for (const [field, name] of fields) {
    const gone = name === "allocSid" ? ["allocSid", "allocNode"] : [name];
    const others = Object.entries(WHOLE ?? {}).filter(([key]) => !gone.includes(key));
    const [job] = parseScontrolJobs(text.replace(field, ""));
    assert.deepEqual(job, Object.fromEntries(others), field);
  }
});

Deno.test("the words of the state's line may change places", () => {
  const text = RECORD.join("\n")
    .replace("Reason=Priority Dependency=(null)", "Dependency=(null) Reason=Priority");
  const [job] = parseScontrolJobs(text);
  assert.deepEqual([job?.state, job?.reason], ["PENDING", "Priority"]);
});

Deno.test("an empty StdErr, as 25.11 has it, means that all goes into one log", () => {
  const text = RECORD.join("\n").replace("StdErr=/data/run/slurm-492.out", "StdErr=");
  const shown = combineRecords(parseScontrolJobs(text));
  assert.deepEqual([shown?.stdout, shown?.stderr], ["/data/run/slurm-492.out", undefined]);
});

Deno.test("%b is a field from 24.05 on, and nothing before", () => {
  const fields = { arrayJobId: "5", arrayTaskId: 123 };
  const expanded = (slurmVersion: string) => expandPattern("o-%A-%b", { ...fields, slurmVersion });
  assert.deepEqual(["23.11.4", "24.05.0", "25.11.1"].map(expanded), [
    "o-5-%b",
    "o-5-3",
    "o-5-3",
  ]);
});

Deno.test("every state that Slurm 20.11 to 25.11 has is over, live or said to be unknown", () => {
  const phases: Record<JobPhase, string> = {
    completed: "COMPLETED",
    failed: "FAILED CANCELLED TIMEOUT OUT_OF_MEMORY DEADLINE NODE_FAIL BOOT_FAIL PREEMPTED " +
      "LAUNCH_FAILED RECONFIG_FAIL",
    pending: "PENDING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT EXPEDITING",
    running: "RUNNING SUSPENDED CONFIGURING COMPLETING STAGE_OUT SIGNALING STOPPED RESIZING " +
      "POWER_UP_NODE",
    unknown: "REVOKED COMPLETED+ CANCELLED+ completed DONE",
  };
  for (const [phase, words] of Object.entries(phases)) {
    for (const word of words.split(" ")) assert.equal(classifyState(word).phase, phase, word);
  }
});

Deno.test("rows with more or fewer columns than asked for are left out, the others read", () => {
  const columns = ["JobID", "JobIDRaw", "State", "ExitCode"];
  const good = "5\x1f5\x1fCOMPLETED\x1f0:0\n";
  fc.assert(fc.property(
    fc.array(
      fc.constantFrom(
        "Dear users, maintenance on Monday\n",
        "6\x1f6\x1fFAILED\x1f1:0\x1fmore\x1fcolumns\n",
        "\n",
        "CLUSTER: test\n",
      ),
      { maxLength: 4 },
    ),
    (noise) => {
      const rows = parseTable(`${noise.join("")}${good}`, columns);
      assert.deepEqual(rows.map((row) => sacctStateRow(row)?.state.word), ["COMPLETED"]);
      assert.deepEqual(rows.map((row) => squeueStateRow(row)?.reference), [{ jobId: "5" }]);
    },
  ));
});

Deno.test("the prompt of scontrol and what it was told are no part of the path before them (24.11)", () => {
  const lines = RECORD.filter((line) => !line.startsWith("   Power="));
  assert.match(lines.at(-1) ?? "", /^ {3}StdOut=/);
  const six = `${lines.join("\n")}\n   \n\n`;
  const seven = six.replace(/^JobId=\d+/, "JobId=7");
  const prompt = "scontrol: ";
  const missing = "Job 5 not found\n";
  for (
    const text of [
      `${prompt}show job 6\n${six}${prompt}show job 7\n${seven}${prompt}quit\n`,
      `${prompt}show job 6\n${six}${prompt}show job 5\n${missing}${prompt}show job 7\n${seven}`,
      // Without readline it echoes nothing, and a complaint on stderr leaves two prompts in a row.
      `${prompt}${six}${prompt}${seven}${prompt}`,
      `${prompt}${six}${prompt}${prompt}${seven}${prompt}${prompt}`,
      `${prompt}${six}${prompt}${missing}${prompt}${seven}${prompt}${missing}${prompt}`,
    ]
  ) {
    const jobs = parseScontrolJobs(text);
    assert.deepEqual(jobs.map(({ jobId, stdOut }) => [jobId, stdOut]), [
      [WHOLE?.jobId, WHOLE?.stdOut],
      ["7", WHOLE?.stdOut],
    ], text);
  }
});
