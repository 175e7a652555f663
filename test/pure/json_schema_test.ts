import assert from "node:assert/strict";
import { outputSchema, RECORDS } from "../../lib/cli/json/records.ts";

const written = new URL("../../lib/cli/json/output.schema.json", import.meta.url);

Deno.test("the schema of --json is the one that the source has (make schema)", () => {
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(written)), JSON.parse(outputSchema()));
});

Deno.test("the schema describes every kind of object, and allows for further fields", () => {
  const schema = JSON.parse(outputSchema());
  assert.match(schema.title, /version 1$/);
  assert.equal(schema.anyOf.length, Object.keys(RECORDS).length);
  for (const { $ref } of schema.anyOf) {
    const { description, properties, required, additionalProperties } =
      schema.$defs[$ref.replace("#/$defs/", "")];
    assert.match(description, /\w/, $ref);
    assert(required.includes("action") && required.includes("status"), $ref);
    assert(properties.action !== undefined, $ref);
    assert.equal(additionalProperties, undefined, $ref);
  }
});
