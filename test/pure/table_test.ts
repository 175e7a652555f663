import assert from "node:assert/strict";
import { type Cell, type Column, table } from "../../lib/cli/table.ts";
import { displayWidth } from "../../lib/cli/width.ts";

const pipe = { width: Infinity, colour: false };

const columns: readonly Column[] = [
  { title: "JOB", alignsRight: true },
  { title: "STATE", shrinks: true },
  { title: "OUTPUTS", shrinks: true },
];

const rows: readonly (readonly Cell[])[] = [
  ["7", { text: "Complete", style: "green" }, { text: ["results/a", "results/b", "測定/c"] }],
  ["1234", "Pending (Resources)", { text: ["out"] }],
];

Deno.test("in a pipe a table is aligned and whole, without a space at the end of a line", () => {
  assert.deepEqual(table(columns, rows, pipe), [
    " JOB  STATE                OUTPUTS",
    "   7  Complete             results/a results/b 測定/c",
    "1234  Pending (Resources)  out",
  ]);
});

Deno.test("wide characters do not push later columns out of line", () => {
  const two = [{ title: "A" }, { title: "B" }];
  assert.deepEqual(table(two, [["測定", "x"], ["Gro\u0308ße", "y"]], pipe), [
    "A      B",
    "測定   x",
    "Gro\u0308ße  y",
  ]);
});

Deno.test("a table fits the terminal: the widest columns are shortened, lists count the rest", () => {
  assert.deepEqual(table(columns, rows, { width: 45, colour: false }), [
    " JOB  STATE                OUTPUTS",
    "   7  Complete             results/a … +2",
    "1234  Pending (Resources)  out",
  ]);
  assert.deepEqual(table(columns, rows, { width: 36, colour: false }), [
    " JOB  STATE           OUTPUTS",
    "   7  Complete        results/a … +2",
    "1234  Pending (Reso…  out",
  ]);
  for (let width = 24; width < 80; width++) {
    for (const line of table(columns, rows, { width, colour: false })) {
      assert(displayWidth(line) <= width, `${width}: ${line}`);
    }
  }
});

Deno.test("colours take no room", () => {
  const [header, first] = table(columns, rows, { width: Infinity, colour: true });
  assert.equal(
    header,
    " \x1b[1mJOB\x1b[0m  \x1b[1mSTATE\x1b[0m                \x1b[1mOUTPUTS\x1b[0m",
  );
  assert.equal(first, "   7  \x1b[32mComplete\x1b[0m             results/a results/b 測定/c");
});
