import assert from "node:assert/strict";
import { displayWidth, shorten } from "../../lib/cli/width.ts";

Deno.test("text takes as many columns as a terminal gives it", () => {
  const widths: [string, number][] = [
    ["", 0],
    ["results/a.csv", 13],
    ["Größe", 5],
    // The same with a combining mark.
    ["Gro\u0308ße", 5],
    ["測定", 4],
    ["ファイル", 8],
    ["ﾌｧｲﾙ", 4],
    ["한글", 4],
    // Decomposed as macOS stores names.
    ["한글".normalize("NFD"), 4],
    ["🧬", 2],
    ["a→b", 3],
    ["…", 1],
    ["\u{20000}", 2],
    // A Hebrew point, a Devanagari vowel sign above.
    ["שָ", 1],
    ["के", 1],
  ];
  for (const [text, width] of widths) assert.equal(displayWidth(text), width, text);
});

Deno.test("shortened text fits, ends with an ellipsis and cuts no character", () => {
  assert.equal(shorten("results", 7), "results");
  assert.equal(shorten("results", 6), "resul…");
  assert.equal(shorten("測定結果", 8), "測定結果");
  assert.equal(shorten("測定結果", 7), "測定結…");
  assert.equal(shorten("測定結果", 6), "測定…");
  assert.equal(shorten("Gro\u0308ße", 4), "Gro\u0308…");
  assert.equal(shorten("a b", 3), "a b");
  assert.equal(shorten("a bc", 3), "a…");
  assert.equal(shorten("abc", 1), "…");
  assert.equal(shorten("abc", 0), "");
  for (let columns = 0; columns < 12; columns++) {
    assert(displayWidth(shorten("a測定b結果🧬", columns)) <= columns);
  }
});
