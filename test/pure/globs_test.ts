import assert from "node:assert/strict";
import fc from "fast-check";
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
      const expected = [...NAMES, "below"].filter((other) => covers(`out/${name}`, `out/${other}`));
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

/** Files at every depth, hidden ones among them, in few enough names for globs to meet them. */
const FILES = ["a", ".a", "ab", "a.b", "a-b", "a]", "!a", "^1", "1", "+", "9b"].flatMap((name) => [
  name,
  ...["d", ".d", "d1", "ad"].flatMap((directory) => [`${directory}/${name}`, `d/.x/${name}`]),
  `d/e/${name}`,
]);

const globName = fc.oneof(
  fc.constantFrom("**", "*", "?", ".*", "d*", "[!a]", "[!a]*", "[+-9]*", "[.]a", "a[!b]b", "[]a]*"),
  fc.string({
    unit: fc.constantFrom("a", "b", "d", "1", ".", "-", "!", "^", "]", "[", "*", "?", "+", "\\"),
    minLength: 1,
    maxLength: 6,
    // Ranges the wrong way round are no sets, and `.` and `..` no names.
  }).filter((name) => !/.-./.test(name) && !/^\.\.?$/.test(name)),
);

Deno.test("a glob covers what is found by it, with what is below, and nothing else", () => {
  const root = Deno.makeTempDirSync();
  try {
    for (const file of FILES) {
      Deno.mkdirSync(`${root}/${file}`.slice(0, `${root}/${file}`.lastIndexOf("/")), {
        recursive: true,
      });
      Deno.writeTextFileSync(`${root}/${file}`, "");
    }
    const agree = (glob: string) => {
      const found = expandPath(root, glob, listing);
      const below = FILES.filter((file) =>
        found.some((path) => file === path || file.startsWith(`${path}/`))
      );
      assert.deepEqual(FILES.filter((file) => covers(glob, file)), below, glob);
    };
    const listing = new Listing(root);
    for (
      const glob of ["d/*", "*/a", "**", "**/a", "d/**", "d[!x]a", "d[+-9]a", ".d/*", "d/.x/*"]
    ) {
      agree(glob);
    }
    fc.assert(
      fc.property(
        fc.array(globName, { minLength: 1, maxLength: 3 }),
        (names) => agree(names.join("/")),
      ),
      { numRuns: 2000 },
    );
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
