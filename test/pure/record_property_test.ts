import assert from "node:assert/strict";
import fc from "fast-check";
import { ToolError } from "../../lib/errors.ts";
import { readJson, writeJson } from "../../lib/record/json.ts";
import { decodeMessage, encodeMessage } from "../../lib/record/message.ts";
import type { WrittenRecord } from "../../lib/record/schema.ts";
import { decoded, fixture, FIXTURES } from "./record_fixtures.ts";

const PIECES = [
  "=== Do not change lines below ===",
  "^^^ Do not change lines above ^^^",
  "[DATALAD SCHEDULE] Submitted batch job 7: Pending",
  "Submitted batch job 8: Pending",
  "__proto__",
  "../",
  "\n",
  "{}",
  '"',
  "\\",
  "\x1b[31m",
  "\u202e",
  "漢 ü 😀",
];

const words = fc.array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: "binary" })), {
  maxLength: 6,
}).map((parts) => parts.join(""));
const path = words.map((text) => text.replaceAll("\0", "") || "x");
const paths = fc.array(path, { maxLength: 4 });
const hash = fc.constantFrom("0fdb608cb5d0c0f0f278affcadbfaee8b185bf5b", "a".repeat(64));
/** JSON as it comes out of a message: `-0` and such do not occur in it. */
const unknownKeys = fc.dictionary(words.map((key) => `${key}?`), fc.jsonValue(), { maxKeys: 4 })
  .map((value) => readJson(JSON.stringify(value)) as Record<string, unknown>);

const record: fc.Arbitrary<WrittenRecord> = fc.tuple(
  unknownKeys,
  fc.record({
    chain: fc.array(hash, { maxLength: 2 }),
    cmd: fc.oneof(path, fc.array(path, { minLength: 1, maxLength: 3 })),
    extra_inputs: paths,
    inputs: paths,
    outputs: paths,
    pwd: path,
    slurm_job_id: fc.integer({ min: 1, max: 2 ** 32 }).map(String),
  }),
  unknownKeys,
  fc.record({
    version: fc.constant(1 as const),
    token: fc.constant("node1.42-8f3a"),
    inputs: fc.dictionary(path, hash, { maxKeys: 3, noNullPrototype: true }),
    missing: paths,
    accounting: unknownKeys,
  }),
).map(([others, known, otherParts, part]) => ({
  ...others,
  ...known,
  datalad_slurm: { ...otherParts, ...part },
}));

Deno.test("every record and message survives encoding and decoding", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("schedule" as const, "reschedule" as const, "finish" as const),
      words,
      record,
      (kind, message, record) => {
        const text = encodeMessage({ kind, jobId: record.slurm_job_id, message, record });
        assert(!text.includes("\0"));
        assert(text.isWellFormed());
        const found = decoded(text);
        assert.deepEqual(found.record, record);
        assert.equal(found.kind, kind);
        assert.equal(found.form, "datalad-slurm");
        const kept = message.toWellFormed().replaceAll("\0", "\ufffd").replace(/\r\n?/g, "\n")
          .trim();
        assert.equal(found.userMessage ?? "", kept);
        const again = { kind, jobId: found.jobId, message: kept, record };
        assert.equal(encodeMessage(again), text);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("the JSON of real messages is written again as it was read", () => {
  for (const name of FIXTURES) {
    const json = /\{.*\}/s.exec(fixture(name))?.[0] ?? "";
    assert.equal(writeJson(readJson(json)), json);
  }
});

Deno.test("unknown keys survive, also one named __proto__ and numbers beyond JavaScript's", () => {
  const more = '"__proto__": {\n  "a": 1.0\n },\n "a_number": 123456789012345678901234567890,\n "';
  const message = fixture("finish-2025-01").replace('"chain', () => `${more}chain`);
  const { record } = decoded(message);
  assert(writeJson(record).startsWith(`{\n ${more}chain": [],`));
});

Deno.test("decoding a damaged message fails with a ToolError or not at all", () => {
  const messages = FIXTURES.map(fixture);
  const damage = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.integer({ min: 0, max: 40 }),
    insert: fc.oneof(words, fc.constantFrom("[", "{", "-", "1e999", "null", '":', '",')),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...messages),
      fc.array(damage, { minLength: 1, maxLength: 4 }),
      (message, damages) => {
        const damaged = damages.reduce((text, { at, remove, insert }) => {
          const start = Math.floor(at * text.length);
          return text.slice(0, start) + insert + text.slice(start + remove);
        }, message);
        try {
          decodeMessage("c0ffee", damaged);
        } catch (error) {
          assert(error instanceof ToolError, String(error));
          assert.match(error.message, /^Commit c0ffee has a malformed job record: [^\n]+$/);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("decoding any JSON in place of the record fails with a ToolError or not at all", () => {
  const [message = ""] = FIXTURES.map(fixture);
  const real = readJson(/\{.*\}/s.exec(message)?.[0] ?? "") as Record<string, unknown>;
  const keys = [...Object.keys(real), "datalad_slurm"];
  fc.assert(
    fc.property(fc.constantFrom(...keys), fc.jsonValue(), fc.jsonValue(), (key, value, part) => {
      const changed = { ...real, datalad_slurm: { version: 1, job: part }, [key]: value };
      try {
        decodeMessage("c0ffee", message.replace(/\{.*\}/s, () => JSON.stringify(changed)));
      } catch (error) {
        assert(error instanceof ToolError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});
