import assert from "node:assert/strict";
import { covers, expandPath, expandPathOrKeep, Listing } from "../../lib/dataset/globs.ts";

const NAMES = [
  ...["1_a.csv", "1_b.csv", "10_a.csv", "2_a.csv", "x_1.csv", "x_10.csv", ".1_a.csv"],
  ...["a", "aa", "aba", "a]b", "a[b", "a-b", "b\n1", "ä_1.csv", "\u{1f600}_1"],
];

Deno.test("globs that share a listing match what their expression matches", () => {
  const root = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${root}/out/below`, { recursive: true });
    for (const name of NAMES) Deno.writeTextFileSync(`${root}/out/${name}`, "");
    const listing = new Listing(root);
    for (
      const name of [
        ...["1_*.csv", "10_*", "*_1.csv", "?_1*", "*", "a*a", "a?a", "[12]_a.csv", "a[!b]b", "ä*"],
        ...[".*", ".1*", "a[b*", "a]*", "b*1", "\u{1f600}*", "z*", "*z", "[a-b]*b", "1*a.csv"],
      ]
    ) {
      const expected = [...NAMES, "below"].filter((other) =>
        covers(`out/${name}`, `out/${other}`) && other.startsWith(".") === name.startsWith(".")
      );
      const found = expandPath(root, `out/${name}`, listing);
      assert.deepEqual(found, expected.map((other) => `out/${other}`).sort(), name);
      assert.deepEqual(found, expandPath(root, `out/${name}`), name);
    }
    // A listing is of one moment, unlike what is asked for by its name.
    Deno.writeTextFileSync(`${root}/out/z1`, "");
    assert.deepEqual(expandPathOrKeep(root, "out/z*", listing), ["out/z*"]);
    assert.deepEqual(expandPathOrKeep(root, "out/z1", listing), ["out/z1"]);
    assert.deepEqual(expandPath(root, "out/z*"), ["out/z1"]);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("a range from a later character to an earlier one matches nothing, as in fnmatch", () => {
  assert.equal(covers("r[9-1].txt", "r5.txt"), false);
  assert.equal(covers("r[9-1].txt", "r.txt"), false);
  assert.equal(covers("r[9-1a].txt", "ra.txt"), true);
  assert.equal(covers("r[a9-1b-c].txt", "rc.txt"), true);
  assert.equal(covers("r[!9-1].txt", "r5.txt"), true);
  assert.equal(covers("r[!9-1a].txt", "ra.txt"), false);
  assert.equal(covers("r[!-9].txt", "r-.txt"), false);
  assert.equal(covers("r[+9-1-5].txt", "r3.txt"), false);
  assert.equal(covers("r[z9-1-a].txt", "rz.txt"), true);
  assert.deepEqual(expandPathOrKeep("/", "nowhere/r[9-1].txt"), ["nowhere/r[9-1].txt"]);
});
