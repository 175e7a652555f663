import assert from "node:assert/strict";
import { seriesStream } from "../../lib/git/commit_series.ts";
import { argumentChunks, parseRawDiff } from "../../lib/git/staged.ts";

const tip = "1".repeat(40);
const options = {
  temporaryRef: "refs/datalad-slurm/finishing/t",
  author: "Ada <ada@example.org> 1 +0000",
  committer: "Bob <bob@example.org> 2 +0100",
};

Deno.test("a series is one stream, in which commits may follow one another", () => {
  const object = "a".repeat(40);
  const stream = seriesStream([
    {
      message: "Zwölf\n",
      parents: [tip],
      changes: [
        { path: "new/file", mode: "100755", object },
        { path: "new", mode: undefined, object: "0".repeat(40) },
      ],
    },
    { message: "Next", changes: [], parents: [0, tip] },
  ], options);
  assert.equal(
    stream,
    `commit ${options.temporaryRef}
mark :1
author ${options.author}
committer ${options.committer}
data 7
Zwölf

from ${tip}
D new
M 100755 ${object} new/file

commit ${options.temporaryRef}
mark :2
author ${options.author}
committer ${options.committer}
data 4
Next
from :1
merge ${tip}

get-mark :1
get-mark :2
done
`,
  );
});

Deno.test("paths are quoted where git would read them otherwise", () => {
  const lines = (path: string) =>
    seriesStream([{
      message: "",
      parents: [tip],
      changes: [{ path, mode: "100644", object: "b" }],
    }], options)
      .split("\n").filter((line) => line.startsWith("M "));
  assert.deepEqual(lines("with space "), ["M 100644 b with space "]);
  assert.deepEqual(lines('"quoted"'), ['M 100644 b "\\"quoted\\""']);
  assert.deepEqual(lines("two\nlines"), ['M 100644 b "two\\nlines"']);
  assert.deepEqual(lines("back\\slash"), ['M 100644 b "back\\\\slash"']);
});

Deno.test("git diff-index --raw -z is parsed, whatever the names are", () => {
  const [zero, one] = ["0".repeat(40), "1".repeat(40)];
  assert.deepEqual(
    parseRawDiff(
      `:000000 100644 ${zero} ${one} A\0two\nlines\0:100644 000000 ${one} ${zero} D\0:100644\0` +
        `:100644 120000 ${one} ${one} T\0-x\0`,
    ),
    [
      {
        path: "two\nlines",
        mode: "100644",
        object: one,
        before: { mode: "000000", object: zero },
      },
      {
        path: ":100644",
        mode: undefined,
        object: zero,
        before: { mode: "100644", object: one },
      },
      { path: "-x", mode: "120000", object: one, before: { mode: "100644", object: one } },
    ],
  );
  assert.deepEqual(parseRawDiff(""), []);
  assert.throws(() => parseRawDiff("M\0path\0"), TypeError);
  assert.throws(() => parseRawDiff(`:100644 100644 ${one} ${one} M\0\0`), TypeError);
});

Deno.test("arguments are parted without loss, each part below the limit", () => {
  const items = Array.from({ length: 100 }, (_, index) => "x".repeat(index));
  const chunks = [...argumentChunks(items, 1000)];
  assert.deepEqual(chunks.flat(), items);
  assert(chunks.length > 1);
  assert(chunks.every((chunk) => chunk.length > 0 && chunk.join("\0").length <= 1000));
  assert.deepEqual([...argumentChunks(["y".repeat(5000)], 1000)], [["y".repeat(5000)]]);
  assert.deepEqual([...argumentChunks([])], []);
});
