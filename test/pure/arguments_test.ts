import assert from "node:assert/strict";
import { type ArgumentSpec, distance, nearest, parseArguments } from "../../lib/cli/arguments.ts";
import { ToolError } from "../../lib/errors.ts";

const spec: ArgumentSpec = {
  operands: "any",
  options: [
    { name: "output", short: "o", value: "PATH", repeatable: true, help: "" },
    { name: "message", short: "m", value: "TEXT", help: "" },
    { name: "json", short: "j", help: "" },
    { name: "quiet", short: "q", help: "" },
    { name: "watch", short: "w", value: "SECONDS", optionalValue: true, help: "" },
    { name: "explicit", value: "WHAT", optionalValue: true, choices: ["yes", "no"], help: "" },
  ],
};

Deno.test("a value that may be left out is taken from what is attached alone", () => {
  for (
    const [words, value, operands] of [
      [["-w"], "", []],
      [["-w", "5"], "", ["5"]],
      [["-w5", "7"], "5", ["7"]],
      [["-w=5"], "5", []],
      [["-jw5"], "5", []],
      [["--watch", "5"], "", ["5"]],
      [["--watch=5"], "5", []],
    ] as const
  ) {
    const parsed = parseArguments(spec, words);
    assert.deepEqual([parsed.last("watch"), parsed.operands], [value, operands], words.join(" "));
  }
});

Deno.test("options are read in all their forms, in any order with the operands", () => {
  const words = [
    "a",
    "-o",
    "1",
    "--output=2",
    "-o3",
    "--output",
    "",
    "-jqo4",
    "b",
    "--message=",
    "-",
  ];
  const parsed = parseArguments(spec, words);
  assert.deepEqual(parsed.all("output"), ["1", "2", "3", "", "4"]);
  assert.equal(parsed.last("output"), "4");
  assert.equal(parsed.last("message"), "");
  assert.equal(parsed.has("json") && parsed.has("quiet"), true);
  assert.deepEqual(parsed.operands, ["a", "b", "-"]);
});

Deno.test("behind -- all words are operands", () => {
  assert.deepEqual(parseArguments(spec, ["--", "--json", "-o"]).operands, ["--json", "-o"]);
});

Deno.test("a command owns all words from its first one on", () => {
  const command: ArgumentSpec = { ...spec, operands: "command" };
  assert.deepEqual(
    parseArguments(command, ["-j", "sbatch", "-o", "log", "--", "--json"]).operands,
    ["sbatch", "-o", "log", "--", "--json"],
  );
  assert.deepEqual(parseArguments(command, ["--", "-x", "--"]).operands, ["-x", "--"]);
});

Deno.test("an option that is ours alone is a mistake behind a command, but for --", () => {
  const ours = { name: "dry-run", isOurs: true, help: "" };
  const command: ArgumentSpec = { operands: "command", options: [...spec.options, ours] };
  const words = ["sbatch", "run.sh", "--dry-run"];
  for (const given of [words, ["-j", "sbatch", "--dry-run=command", "run.sh"]]) {
    assert.throws(
      () => parseArguments(command, given),
      (error) =>
        error instanceof ToolError && error.kind === "usage" &&
        error.message === "--dry-run stands behind the command, and would go to it" &&
        /before the command: --dry-run … sbatch …; .*: -- sbatch …$/.test(error.hint ?? ""),
    );
  }
  assert.deepEqual(parseArguments(command, ["--", ...words]).operands, words);
  // One word is a command line for the shell, and others have such options, too.
  assert.deepEqual(parseArguments(command, [words.join(" ")]).operands, [words.join(" ")]);
  assert.deepEqual(
    parseArguments(command, ["run", "--output=x", "--dry-runs"]).operands,
    ["run", "--output=x", "--dry-runs"],
  );
});

Deno.test("an optional value is taken only behind an equals sign", () => {
  const parsed = parseArguments(spec, ["--explicit", "yes"]);
  assert.equal(parsed.last("explicit"), "");
  assert.deepEqual(parsed.operands, ["yes"]);
  assert.equal(parseArguments(spec, ["--explicit=no"]).last("explicit"), "no");
});

Deno.test("what is not understood is a usage error", () => {
  const cases: [string[], RegExp][] = [
    [["--nothing"], /There is no option "--nothing"/],
    [["-x"], /There is no option "-x"/],
    [["-jx"], /There is no option "-x"/],
    [["--json=1"], /--json takes no value/],
    [["-o"], /--output needs a value: PATH/],
    [["--message", "a", "-m", "b"], /--message is given more than once/],
    [["--explicit=maybe"], /--explicit takes yes or no, not "maybe"/],
  ];
  for (const [words, message] of cases) {
    assert.throws(
      () => parseArguments(spec, words),
      (error) =>
        error instanceof ToolError && error.kind === "usage" && message.test(error.message),
    );
  }
  assert.throws(() => parseArguments({ ...spec, operands: "none" }, ["x"]), /"x" is not expected/);
});

Deno.test("of several words that may be meant the nearest is suggested", () => {
  const options = ["input", "output", "onto", "dry-run", "json", "batch"];
  const meant = { ouput: "output", otput: "output", outptu: "output", iput: "input" };
  for (const [typed, word] of Object.entries(meant)) assert.equal(nearest(options, typed), word);
  assert.equal(nearest(options, "jsno"), "json");
  assert.equal(nearest(options, "dry"), "dry-run");
  assert.equal(nearest(options, "xyz"), undefined);
  // As near to one as to the other: the beginning decides.
  assert.equal(nearest(["cast", "last"], "lsat"), "last");
  assert.equal(nearest(["bat", "cut"], "cat"), "cut");
});

Deno.test("the distance of two words counts letters changed, put in, left out and exchanged", () => {
  assert.equal(distance("status", "statsu"), 1);
  assert.equal(distance("finish", "finish"), 0);
  assert.equal(distance("finish", "finsh"), 1);
  assert.equal(distance("schedule", "shedulee"), 2);
  assert.equal(distance("", "abc"), 3);
});
