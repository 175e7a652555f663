import assert from "node:assert/strict";
import { parseBatch } from "../../lib/record/batch_lines.ts";
import { type BatchTemplate, fillTemplate } from "../../lib/record/batch_template.ts";

function rows(content: string): unknown[] {
  return parseBatch(content).lines.map(({ line, values }) => [line, Object.fromEntries(values)]);
}

function faults(content: string): unknown[] {
  return parseBatch(content).faults.map(({ line, message }) => `${line}: ${message}`);
}

Deno.test("a table's values may be quoted, and hold commas, quotes and newlines", () => {
  const content = '\ufeffname,rate\r\n"a, b","say ""x"""\r\n\r\n"two\nlines",\r\nlast,1';
  assert.deepEqual(rows(content), [
    [2, { name: "a, b", rate: 'say "x"' }],
    [4, { name: "two\nlines", rate: "" }],
    [6, { name: "last", rate: "1" }],
  ]);
  assert.deepEqual(faults(content), []);
});

Deno.test("what is wrong with a table is said with its line, and the other lines are read", () => {
  const content = 'a,b\n1,2,3\n1\n"x"y,2\n"open,2\n';
  assert.deepEqual(faults(content), [
    "2: The header has 2 columns, and this line 3 values",
    "3: The header has 2 columns, and this line 1 value",
    "4: Its quotes do not match",
    "5: Its quotes do not match",
  ]);
  assert.deepEqual(rows('a,b\n"x"y,2\n1,2\n'), [[3, { a: "1", b: "2" }]]);
  assert.match(`${faults("a,b c\n")}`, /^1: The header has "b c", which is no name/);
  assert.deepEqual(faults("a,a\n1,2\n"), ['1: The header has "a" twice']);
});

Deno.test("objects give command, paths and message; further members are values", () => {
  const { lines, faults } = parseBatch(
    '{"command": ["sbatch", "a b"], "inputs": "i", "outputs": ["o", "p"], "message": "m"}\n' +
      '\n{"command": "sbatch x", "rate": 0.5, "on": true}\n',
  );
  assert.deepEqual(faults, []);
  assert.deepEqual(lines.map(({ values: _, isStrict: __, ...line }) => line), [
    { line: 1, command: ["sbatch", "a b"], inputs: ["i"], outputs: ["o", "p"], message: "m" },
    { line: 3, command: ["sbatch x"], inputs: [], outputs: [], message: undefined },
  ]);
  assert.deepEqual([...lines[1]?.values ?? []], [["rate", "0.5"], ["on", "true"]]);
});

Deno.test("what is wrong with an object is said with its line", () => {
  const found = faults(
    '{"command": []}\n[1]\n{"outputs": 5}\n{"x": null}\n{"command": "a\\u0000"}\n{"x\n{"x": 1}\n',
  );
  assert.deepEqual(found.slice(0, 5), [
    '1: "command" is neither a command line nor a list of words',
    "2: It is not a JSON object",
    '3: "outputs" is not text or texts',
    '4: "x" is not text, a number or a boolean',
    '5: "command" is neither a command line nor a list of words',
  ]);
  assert.match(String(found[5]), /^6: It is not JSON: /);
  assert.equal(found.length, 6);
});

const TEMPLATE: BatchTemplate = {
  command: ["sbatch", "job.sh", "{name}", "{outputs[0]}", "{{name}}"],
  inputs: ["in/{name}"],
  outputs: ["out/{name}/{rate}", "{{x}}"],
  message: "Run {name}",
};

function fill(template: Partial<BatchTemplate>, content: string): unknown {
  const [line] = parseBatch(content).lines;
  if (line === undefined) throw new Error("No line");
  return fillTemplate({ ...TEMPLATE, ...template }, line);
}

Deno.test("placeholders of the columns are filled in, and those of datalad run are left", () => {
  assert.deepEqual(fill({}, "name,rate\na b{,1\n"), {
    line: 2,
    command: ["sbatch", "job.sh", "a b{{", "{outputs[0]}", "{{name}}"],
    inputs: ["in/a b{"],
    outputs: ["out/a b{/1", "{x}"],
    message: "Run a b{",
  });
});

Deno.test("in a command line for the shell a value is one word", () => {
  const job = fill({ command: ["sbatch job.sh {name} | tee log"] }, "name,rate\na b;'{,1\n");
  assert.deepEqual((job as { command: unknown }).command, [
    `sbatch job.sh 'a b;'"'"'{{' | tee log`,
  ]);
});

Deno.test("unknown placeholders, values that nobody uses and missing commands are refused", () => {
  assert.throws(() => fill({}, "name,speed\na,1\n"), /The output "out\/{name}\/{rate}" has the/);
  assert.throws(
    () => fill({}, "name,rate\na,\n"),
    /The output "out\/{name}\/{rate}" has {rate}, and that value is empty/,
  );
  assert.throws(() => fill({ message: "{x}" }, "name,rate\na,1\n"), /The message has the place/);
  assert.throws(() => fill({ command: [] }, "name,rate\na,1\n"), /It has no command/);
  const bare = { inputs: [], outputs: [], message: undefined };
  assert.throws(
    () => fill(bare, '{"command": "sbatch x", "output": "o"}'),
    /"output" is neither a member of a job nor used as the placeholder {output}/,
  );
});
