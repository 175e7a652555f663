import assert from "node:assert/strict";
import { linkChunks, loaderText } from "../../lib/executable/link_chunks.ts";

/** Runs a program as its loader does, and returns what it has told to `tell`. */
async function run(chunks: Readonly<Record<string, string>>): Promise<string[]> {
  const directory = await Deno.makeTempDir();
  const told: string[] = [];
  const world = globalThis as unknown as { tell?: (word: string) => void };
  try {
    world.tell = (word) => told.push(word);
    const { bytes, table } = linkChunks(new Map(Object.entries(chunks)));
    await Deno.writeFile(`${directory}/program.js`, bytes);
    await Deno.writeTextFile(`${directory}/loader.js`, loaderText("program.js", table, "main.js"));
    await import(`file://${directory}/loader.js`);
    return told;
  } finally {
    delete world.tell;
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a chunk is evaluated when it is needed, and once", async () => {
  const told = await run({
    "main.js": 'import {\n  name as called\n} from "./chunk-A.js";\nimport "./chunk-B.js";\n' +
      'tell(called());\nawait 0;\nconst { b } = await import("./chunk-B.js");\ntell(b);\n',
    "chunk-A.js": 'tell("A");\nfunction name() {\n  return "a";\n}\nexport {\n  name\n};\n',
    "chunk-B.js":
      'import {\n  name\n} from "./chunk-A.js";\ntell("B");\nvar own = name() + "b";\n' +
      "export {\n  own as b\n};\n",
    "chunk-C.js": 'tell("C");\nvar c = 1;\nexport {\n  c\n};\n',
  });
  assert.deepEqual(told, ["A", "B", "a", "ab"]);
});

Deno.test("a text that looks like an import stays as it is", async () => {
  const told = await run({ "main.js": "tell('import(\"./other.js\")');\n" });
  assert.deepEqual(told, ['import("./other.js")']);
});

Deno.test("offsets count bytes, so that any character may stand in a chunk", async () => {
  const told = await run({
    "chunk-A.js": 'var a = "\u00e4\u2026";\ntell(a);\nexport {\n  a\n};\n',
    "chunk-B.js": 'var b = "b";\nexport {\n  b\n};\n',
    "main.js":
      'import {\n  a\n} from "./chunk-A.js";\nimport {\n  b\n} from "./chunk-B.js";\ntell(a + b);\n',
  });
  assert.deepEqual(told, ["\u00e4\u2026", "\u00e4\u2026b"]);
});

Deno.test("a form that the linker does not know is refused", () => {
  for (
    const text of [
      'import * as all from "./chunk-A.js";\n',
      'import fs from "node:fs";\n',
      "export default 1;\n",
      'import "./chunk-Z.js";\n',
      "var count = 0;\nfunction next() {\n  return count++;\n}\nexport {\n  count,\n  next\n};\n",
    ]
  ) {
    assert.throws(() => linkChunks(new Map([["main.js", text], ["chunk-A.js", ""]])), SyntaxError);
  }
});
