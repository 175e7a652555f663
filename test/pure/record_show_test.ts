import assert from "node:assert/strict";
import fc from "fast-check";
import { harmless } from "../../lib/record/show.ts";

Deno.test("what a terminal would obey is shown as an escape", () => {
  assert.equal(harmless("a\x1b[31mred\x9b2J\x7f"), "a\\x1b[31mred\\x9b2J\\x7f");
  assert.equal(harmless("one\r\ntwo\tthree\0"), "one\\r\\ntwo\\tthree\\x00");
});

Deno.test("what a terminal would reorder or hide is shown as an escape", () => {
  assert.equal(harmless("gpj\u202egnp.\u2066x\u2069"), "gpj\\u202egnp.\\u2066x\\u2069");
  assert.equal(harmless("a\u200bb\ufeffc\u{e0041}d\ud800"), "a\\u200bb\\ufeffc\\u{e0041}d\\ud800");
});

Deno.test("text that is harmless already is left alone", () => {
  const text = "models/gold – ünïcode 漢字 עברית 😀 C:\\x1b";
  assert.equal(harmless(text), text);
});

Deno.test("no text keeps a control character", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.doesNotMatch(harmless(text), /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/u);
    assert.equal(harmless(harmless(text)), harmless(text));
  }));
});
