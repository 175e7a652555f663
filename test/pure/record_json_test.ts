import assert from "node:assert/strict";
import fc from "fast-check";
import { readJson, writeJson } from "../../lib/record/json.ts";

const pairs: { any: string; written: string }[] = JSON.parse(
  Deno.readTextFileSync(new URL("../../fixtures/records/python_json.json", import.meta.url)),
);

Deno.test("JSON is written byte for byte as Python's json.dumps writes it", () => {
  for (const { any, written } of pairs) {
    assert.equal(writeJson(readJson(any)), written);
    assert.equal(writeJson(readJson(written)), written);
  }
});

Deno.test("numbers of our own are written as Python writes them", () => {
  const values = [0, -0, 12, 0.5, 0.0001, 0.00001, 1.25e-7, 5e-324, 2 ** 53];
  assert.equal(
    writeJson(values).replace(/[\n ]/g, ""),
    "[0,0,12,0.5,0.0001,1e-05,1.25e-07,5e-324,9007199254740992]",
  );
  assert.throws(() => writeJson([NaN]), TypeError);
});

Deno.test("numbers that JavaScript can hold stay numbers when they are read", () => {
  assert.deepEqual(readJson("[1, 0.5, 1e-05, 9007199254740992]"), [1, 0.5, 1e-5, 2 ** 53]);
});

Deno.test("a negative zero survives", () => {
  assert.equal(writeJson(readJson("[-0]")), "[\n -0\n]");
});

Deno.test("members that are undefined are left out", () => {
  assert.equal(writeJson({ a: undefined, b: 1 }), '{\n "b": 1\n}');
});

Deno.test("any JSON survives being written and read", () => {
  fc.assert(fc.property(fc.json(), (text) => {
    const value = readJson(text);
    assert.deepEqual(readJson(writeJson(value)), value);
  }));
});
