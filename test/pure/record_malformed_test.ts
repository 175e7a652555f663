import assert from "node:assert/strict";
import { ToolError } from "../../lib/errors.ts";
import { decodeMessage } from "../../lib/record/message.ts";
import { parseSidecar } from "../../lib/record/sidecar.ts";
import { fixture } from "./record_fixtures.ts";

const ID = "0fdb608cb5d0c0f0f278affcadbfaee8b185bf5b";

/** The message of a record that says so and no more, with some keys changed. */
function messageWith(changes: Record<string, unknown>): string {
  const record = {
    chain: [],
    cmd: "sbatch a.sh",
    outputs: ["out"],
    pwd: ".",
    slurm_job_id: "45",
    datalad_slurm: { version: 1 },
    ...changes,
  };
  return fixture("schedule-2025-01").replace(/\{.*\}/s, () => JSON.stringify(record));
}

function part(changes: Record<string, unknown>): string {
  return messageWith({ datalad_slurm: { version: 1, ...changes } });
}

function refuses(name: string, message: string, what: RegExp, hint?: RegExp): void {
  Deno.test(`refused: ${name}`, () => {
    assert.throws(() => decodeMessage(ID, message), (error: unknown) => {
      assert(error instanceof ToolError);
      assert.equal(error.kind, "refused");
      const [start, rest] = error.message.split(" has a malformed job record: ");
      assert.equal(start, `Commit ${ID}`);
      assert.match(rest ?? "", what);
      assert.match(error.hint ?? "", hint ?? /^$/);
      return true;
    });
  });
}

Deno.test("the record that the others are made of is read", () => {
  assert.notEqual(decodeMessage(ID, messageWith({})), undefined);
});

const whole = fixture("schedule-2025-01");
const json = (text: string) => whole.replace(/\{.*\}/s, () => text);

refuses("no record", whole.replace(/===.*/s, ""), /^The line "=== Do .* is missing$/);
refuses("no closing marker", whole.replace(/\^\^\^.*/s, ""), /^The line "\^\^\^ .* is missing$/);
refuses("an opening marker below the record", whole + whole.replace(/\^\^\^.*/s, ""), /^The line/);
refuses("not JSON", json("{'chain': []}"), /^It is not JSON$/);
refuses("JSON cut short", json('{"chain": ['), /^It is not JSON$/);
refuses(
  "nested beyond all measure",
  json(`{"a":${"[".repeat(1e6)}1.0${"]".repeat(1e6)}}`),
  /^It is not JSON$/,
);
refuses("a list", json("[1]"), /^It is not a JSON object but \[1\]$/);
refuses("a number", json("45"), /^It is not a JSON object but 45$/);
refuses("null", json("null"), /^It is not a JSON object but null$/);
refuses("a path as sidecar id", json('"../../x"'), /^It is not the id of a sidecar record: "\.\./);
refuses(
  "a subject without a job",
  whole.replace("batch job", "job"),
  /^Its subject names no job: /,
);
refuses(
  "a subject of another form",
  part({}).replace("] Submitted", "] words Submitted"),
  /^Its subject names no job: "words Submitted batch job 45: Pending"$/,
);
refuses(
  "two job ids",
  whole.replace("job 45:", "job 46:"),
  /^Its subject names job 46 and its record job 45$/,
);

refuses("no job id", messageWith({ slurm_job_id: undefined }), /^"slurm_job_id" is missing$/);
for (
  const id of ["1; rm", "45\n", "", "-1", "0", "4.5", "45_1", "１", ["45"], null, 4.5, -1, 1e21]
) {
  refuses(
    `job id ${JSON.stringify(id)}`,
    messageWith({ slurm_job_id: id }),
    /^"slurm_job_id" is not the id of a Slurm job: /,
  );
}
refuses("no command", messageWith({ cmd: undefined }), /^"cmd" is missing$/);
refuses("a command of numbers", messageWith({ cmd: [1] }), /^"cmd" is neither text nor a list/);
refuses(
  "an empty command",
  messageWith({ cmd: [] }),
  /^"cmd" is neither text nor a list of texts: \[\]$/,
);
refuses("NUL in the command", messageWith({ cmd: "a\0b" }), /^"cmd" .*: "a\\u0000b"$/);
refuses("no directory", messageWith({ pwd: undefined }), /^"pwd" is missing$/);
refuses("text for outputs", messageWith({ outputs: "out" }), /^"outputs" is not a list: "out"$/);
refuses(
  "a number for an output",
  messageWith({ outputs: ["a", 1] }),
  /^"outputs.1" is not a path: 1$/,
);
refuses("an empty output", messageWith({ outputs: [""] }), /^"outputs.0" is not a path: ""$/);
refuses(
  "NUL in an input",
  messageWith({ inputs: ["a\0"] }),
  /^"inputs.0" is not a path: "a\\u0000"/,
);
refuses("logs that are no list", messageWith({ slurm_run_outputs: {} }), /^"slurm_run_outputs" is/);
refuses(
  "a chain of options",
  messageWith({ chain: ["--all"] }),
  /^"chain.0" is not the full id of/,
);
refuses("a numeric dataset id", messageWith({ dsid: 1 }), /^"dsid" is not text without NUL: 1$/);
refuses("text for exit", messageWith({ exit: "0" }), /^"exit" is not a number: "0"$/);
refuses("escapes in a value", messageWith({ chain: ["\x1b\u202e"] }), /: "\\u001b\\u202e"$/);

refuses(
  "a list for our part",
  messageWith({ datalad_slurm: [] }),
  /^"datalad_slurm" is not an obj/,
);
refuses(
  "a newer version",
  part({ version: 2, token: 5 }),
  /^It has version 2, written by a newer datalad-slurm$/,
  /^This datalad-slurm reads records up to version 1/,
);
refuses("no version", part({ version: undefined }), /^"datalad_slurm.version" is missing$/);
refuses("version 0", part({ version: 0 }), /^"datalad_slurm.version" is not 1: 0$/);
refuses("a path as token", part({ token: "../x" }), /^"datalad_slurm.token" is not an identifier/);
refuses("a local time", part({ submitted_at: "2025-01-01 00:00" }), /is not a time in UTC/);
refuses("a short id", part({ schedule_commit: "0fdb608" }), /is not the full id of a git object/);
refuses("text for job", part({ job: "x" }), /^"datalad_slurm.job" is not an object: "x"$/);
refuses(
  "no script object",
  part({ script: { path: "a" } }),
  /^"datalad_slurm.script.object" is mis/,
);
refuses("an id of an input", part({ inputs: { a: 5 } }), /^"datalad_slurm.inputs" is not texts/);
refuses("an empty input", part({ inputs: { "": ID } }), /^"datalad_slurm.inputs" is not texts/);
refuses("text for missing", part({ missing: "x" }), /^"datalad_slurm.missing" is not a list: "x"$/);
refuses("a task without state", part({ tasks: { 0: {} } }), /^"datalad_slurm.tasks" is not states/);
refuses(
  "what hides behind __proto__",
  part({ inputs: JSON.parse('{"__proto__": 5}') }),
  /^"datalad_slurm.inputs" is not texts by path/,
);
refuses(
  "text for accounting",
  part({ accounting: "x" }),
  /^"datalad_slurm.accounting" is not an o/,
);

Deno.test("a sidecar that is empty, not JSON, or of another job is refused", () => {
  const lines = '{"cmd":"sbatch a","pwd":".","slurm_job_id":45}\n';
  for (
    const [text, what] of [
      ["\n", /Its sidecar record is empty$/],
      ["{", /It is not JSON$/],
      ['"0123"', /It is not a JSON object but "0123"$/],
      [lines, /Its subject names job 46 and its record job 45$/],
    ] as const
  ) assert.throws(() => parseSidecar(ID, text, "46"), { name: "ToolError", message: what });
});
