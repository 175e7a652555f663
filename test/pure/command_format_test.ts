import assert from "node:assert/strict";
import fc from "fast-check";
import { fillPlaceholders, joinCommand, quoteWord } from "../../lib/record/command.ts";
import { absolutePath, isWithin, joinPath, parentPath, pathBelow } from "../../lib/paths.ts";

const substitutions = new Map<string, string | readonly string[]>([
  ["pwd", "/ds/sub"],
  ["inputs", ["'a b'", "c"]],
  ["outputs", []],
]);
const fill = (command: string) => fillPlaceholders(command, substitutions);

Deno.test("placeholders are filled in as Python's str.format does", () => {
  assert.equal(fill("cat {inputs} >{pwd}/x"), "cat 'a b' c >/ds/sub/x");
  assert.equal(fill("{inputs[1]}{inputs[0]}"), "c'a b'");
  assert.equal(fill("[{outputs}]"), "[]");
  assert.equal(fill("awk '{{print $1}}'"), "awk '{print $1}'");
  assert.equal(fill("{{{pwd}}}"), "{/ds/sub}");
  assert.equal(fill("no braces"), "no braces");
});

Deno.test("what cannot be filled in is refused", () => {
  for (
    const command of [
      "{input}",
      "{}",
      "{",
      "}",
      "a } b",
      "{inputs[2]}",
      "{outputs[0]}",
      "{inputs[x]}",
      "{pwd!r}",
      "{pwd:>9}",
      "{__class__}",
      "{inputs.length}",
    ]
  ) assert.throws(() => fill(command), { name: "ToolError", kind: "refused" }, command);
});

Deno.test("what stands in for a placeholder is not looked at again", () => {
  assert.equal(fillPlaceholders("{a}", new Map([["a", "{pwd} }} $&"]])), "{pwd} }} $&");
});

Deno.test("a quoted word is that word to a shell", async () => {
  const words = fc.sample(
    fc.string({ unit: "binary", minLength: 0, maxLength: 12 }).filter((word) =>
      !word.includes("\0") && word.isWellFormed()
    ),
    300,
  );
  const script = `printf '%s\\0' ${words.map(quoteWord).join(" ")}`;
  const { stdout } = await new Deno.Command("/bin/sh", { args: ["-c", script] }).output();
  assert.deepEqual(
    new TextDecoder("utf-8", { ignoreBOM: true }).decode(stdout).split("\0").slice(0, -1),
    words,
  );
});

Deno.test("a single word stays a shell command, several are quoted one by one", () => {
  assert.equal(joinCommand(["a && b | c"]), "a && b | c");
  assert.equal(
    joinCommand(["sbatch", "my job.sh", "it's", ""]),
    `sbatch 'my job.sh' 'it'"'"'s' ''`,
  );
  assert.equal(joinCommand([]), "");
});

Deno.test("paths are joined, cut and compared by their components", () => {
  assert.equal(absolutePath("../a/./b//c/", "/x/y"), "/x/a/b/c");
  assert.equal(absolutePath("../../../..", "/x"), "/");
  assert.equal(absolutePath("/a/../b", "/x"), "/b");
  assert.equal(pathBelow("/ds", "/ds"), ".");
  assert.equal(pathBelow("/ds", "/ds2"), undefined);
  assert.equal(pathBelow("/", "/a"), "a");
  assert.equal(joinPath(".", "a"), "a");
  assert.equal(joinPath("a", "."), "a");
  assert.equal(joinPath("a", "b"), "a/b");
  assert.equal(parentPath("a"), ".");
  assert.equal(parentPath("a/b"), "a");
  assert.equal(isWithin("a/b", "a"), true);
  assert.equal(isWithin("ab", "a"), false);
  assert.equal(isWithin("a", "."), true);
});
