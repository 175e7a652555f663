import assert from "node:assert/strict";
import { parseDuration } from "../../lib/cli/waiting.ts";
import { Expectation, pauses } from "../../lib/commands/polling.ts";

Deno.test("Slurm is asked soon at first and once a minute later", () => {
  const sequence = pauses(() => 0.5);
  const all = Array.from({ length: 40 }, () => sequence.next().value);
  assert.deepEqual(all.slice(0, 4), [1000, 1500, 2250, 3375]);
  assert.equal(all.at(-1), 60_000);
  const inAnHour = all.reduce(
    ({ time, looks }, pause) =>
      time + pause > 3_600_000 ? { time, looks } : {
        time: time + pause,
        looks: looks + 1,
      },
    { time: 0, looks: 0 },
  );
  assert(inAnHour.looks < 75);
});

Deno.test("pauses differ from one process to the next, but not by much", () => {
  for (const random of [0, 0.999]) {
    const first = pauses(() => random).next().value;
    assert(first >= 800 && first <= 1200);
  }
});

Deno.test("a job that is not known is waited for, but not for ever", () => {
  let now = 0;
  const expectation = new Expectation(() => now);
  assert(expectation.isWorthwhile("a", "unknown"));
  now = 599_000;
  assert(expectation.isWorthwhile("a", "unknown"));
  now = 600_000;
  assert(!expectation.isWorthwhile("a", "unknown"));
  assert(expectation.isWorthwhile("a", "running"));
  assert(expectation.isWorthwhile("a", "unknown"), "it was known in between");
  for (const phase of ["completed", "failed", undefined] as const) {
    assert(!expectation.isWorthwhile("a", phase));
  }
  assert(expectation.isWorthwhile("a", "pending"));
});

Deno.test("durations are read", () => {
  const read = ["90", "90s", "15m", "1h30m", "2d", "1d2h3m4s", "0", "0.5"].map(parseDuration);
  assert.deepEqual(read, [90, 90, 900, 5400, 172800, 93784, 0, 0.5]);
  for (const text of ["", "abc", "-1", "1w", "10:00", "1s1m", "1e3", "9999d", "h", " 1"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});
