import assert from "node:assert/strict";
import {
  progressLine,
  progressOn,
  readableBytes,
  readableDuration,
} from "../../lib/cli/progress.ts";
import { readableTime } from "../../lib/cli/times.ts";
import { AnnexProgress } from "../../lib/git/annex_progress.ts";

Deno.test("durations and sizes are told in two units at most", () => {
  const durations: [number, string][] = [
    [0, "0.0 s"],
    [9.94, "9.9 s"],
    [9.96, "10 s"],
    [59.6, "1 min"],
    [200, "3 min 20 s"],
    [3600, "1 h"],
    [18_120, "5 h 2 min"],
    [273_600, "3 d 4 h"],
  ];
  for (const [seconds, text] of durations) assert.equal(readableDuration(seconds), text);
  const sizes: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [999.96, "1.0 kB"],
    [1500, "1.5 kB"],
    [999_960, "1.0 MB"],
    [3.4e9, "3.4 GB"],
    [5e15, "5000.0 TB"],
  ];
  for (const [bytes, text] of sizes) assert.equal(readableBytes(bytes), text);
});

Deno.test("moments are told as they are read: ago on a terminal, as a date elsewhere", () => {
  const now = new Date("2026-05-04T10:31:00Z");
  const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);
  const terminal: [number, string][] = [
    [-3, "0 s ago"],
    [0, "0 s ago"],
    [59, "59 s ago"],
    [200, "3 min ago"],
    [7200, "2 h ago"],
    [47 * 3600, "47 h ago"],
    [49 * 3600, "2 d ago"],
  ];
  for (const [seconds, text] of terminal) {
    assert.equal(readableTime(ago(seconds), { isTerminal: true }, now), text);
  }
  const date = /^2026-0[45]-\d\d \d\d:\d\d$/;
  assert.match(readableTime(ago(20 * 24 * 3600), { isTerminal: true }, now), date);
  // What lies ahead is a date as well.
  assert.match(readableTime(ago(-600), { isTerminal: true }, now), date);
  assert.match(readableTime(ago(0), { isTerminal: false }, now), date);
});

Deno.test("progress tells count, bytes, rate and time left, by bytes where they are known", () => {
  const line = (standing: Partial<Parameters<typeof progressLine>[1]>) =>
    progressLine("Adding outputs", {
      done: 0,
      all: 10,
      bytes: undefined,
      allBytes: undefined,
      seconds: 20,
      ...standing,
    });
  assert.equal(line({}), "Adding outputs: 0 of 10");
  assert.equal(line({ done: 2 }), "Adding outputs: 2 of 10, 1 min 20 s left");
  assert.equal(
    line({ done: 9, bytes: 2e9, allBytes: 8e9 }),
    "Adding outputs: 9 of 10, 2.0 GB of 8.0 GB, 100.0 MB/s, 1 min left",
  );
  assert.equal(
    line({ done: 5, bytes: 2e9 }),
    "Adding outputs: 5 of 10, 2.0 GB, 100.0 MB/s, 20 s left",
  );
  // A file that has grown since it was counted.
  assert.equal(line({ bytes: 9e9, allBytes: 8e9 }).endsWith("left"), false);
});

Deno.test("without a person at stderr nothing is counted", () => {
  assert.equal(progressOn({ showsProgress: false } as Parameters<typeof progressOn>[0]), undefined);
});

Deno.test("the progress of git-annex is summed up over the files that are under way", () => {
  const progress = new AnnexProgress();
  const told = (file: string, bytes: number) =>
    `{"action":{"command":"get","file":${JSON.stringify(file)},"input":[]},` +
    `"byte-progress":${bytes},"percent-progress":"0.01%","total-size":300000000}`;
  assert(progress.takes(told("a", 100)));
  assert(progress.takes(told("b", 10)));
  assert(progress.takes(told("a", 300)));
  assert.equal(progress.bytes, 310);
  progress.forget("a");
  assert.equal(progress.bytes, 10);
  for (
    const line of [
      "",
      '{"command":"get","file":"a","success":true,"note":"\\"byte-progress\\""}',
      '{"byte-progress":7}',
      '"byte-progress"',
      '{"action":{"file":"a"},"byte-progress":"7"}',
    ]
  ) assert.equal(progress.takes(line), false, line);
  assert.equal(progress.bytes, 10);
});
