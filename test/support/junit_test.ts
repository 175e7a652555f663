import assert from "node:assert/strict";
import { countTests, NONE } from "./junit.ts";

/** Cut down from what Deno 2.9.6 has written. */
const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="8" failures="3" errors="0" time="0.011">
    <testsuite name="./a_test.ts" tests="8" disabled="1" errors="0" failures="3">
        <testcase name="good &gt; one" classname="./a_test.ts" time="0.001" line="1" col="6">
        </testcase>
        <testcase name="bad" classname="./a_test.ts" time="0.002" line="2" col="6">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="bad2" classname="./a_test.ts" time="0.000" line="3" col="6">
            <failure message="Error: &lt;testcase name=&apos;x&apos;&gt;">Error: &lt;testcase
    at file:///a_test.ts:3:33</failure>
        </testcase>
        <testcase name="ignored" classname="./a_test.ts" time="0.000" line="4" col="6">
            <skipped/>
        </testcase>
        <testcase name="bad &gt; a step" classname="./a_test.ts" time="0.001" line="2" col="41">
            <failure message="Uncaught Error">Error</failure>
        </testcase>
    </testsuite>
</testsuites>`;

Deno.test("tests are counted by how they ended, and their steps are not", () => {
  const { failures: _, ...counts } = countTests(report);
  assert.deepEqual(counts, { passed: 1, failed: 2, skipped: 1 });
});

Deno.test("what the tests and steps that failed said is told with where they are", () => {
  assert.deepEqual(countTests(report).failures, [
    "./a_test.ts => bad\n  1 test step failed.",
    "./a_test.ts => bad2\n  Error: <testcase\n      at file:///a_test.ts:3:33",
    "./a_test.ts => bad > a step\n  Error",
  ]);
});

Deno.test("of a long message its beginning is told", () => {
  const long = `Error:\n${"line\n".repeat(30)}`;
  const [failure] = countTests(report.replaceAll("Error: &lt;testcase", long)).failures.slice(1);
  assert.match(failure ?? "", /\n {2}and 19 lines more\n {6}at file:\/\/\/a_test\.ts:3:33$/);
});

Deno.test("a report without tests counts none", () => {
  assert.deepEqual(countTests(`<testsuites name="deno test" tests="0"></testsuites>`), NONE);
});
