import assert from "node:assert/strict";
import fc from "fast-check";
import {
  countIndices,
  formatIndices,
  formatRanges,
  IndexSet,
  indices,
  parseArraySpec,
} from "../../lib/slurm/array.ts";
import { parseVersion } from "../../lib/slurm/accounting.ts";
import {
  isJobId,
  parseDuration,
  parseExit,
  parseMemory,
  parseReference,
  parseTime,
} from "../../lib/slurm/fields.ts";
import { hostnames } from "../../lib/slurm/hostlist.ts";
import { expandPattern, patternGlob, pendingArrayPattern } from "../../lib/slurm/patterns.ts";
import { refusedColumn, sacctArgv, sacctSearchArgv } from "../../lib/slurm/sacct.ts";
import { describeArgv, parseScontrolJobs } from "../../lib/slurm/scontrol.ts";
import { squeueArgv } from "../../lib/slurm/squeue.ts";
import { classifyState } from "../../lib/slurm/states.ts";
import {
  parseSubmissions,
  saysNoAnswer,
  saysRefused,
  saysTestOnly,
} from "../../lib/slurm/submission.ts";
import { parseTable, TableReader } from "../../lib/slurm/table.ts";
import { inPieces } from "../../lib/slurm/query.ts";
import { readSample } from "../support/slurm_sample.ts";

Deno.test("lines that name a submission count, banners do not", () => {
  const named = (stdout: string) => {
    const { submissions, bare } = parseSubmissions(stdout);
    return [submissions.map(({ jobId, cluster }) => `${jobId};${cluster ?? ""}`), bare];
  };
  assert.deepEqual(
    named("Welcome to cluster 7\nSubmitted batch job 12\nSubmitted batch job 13\nbye 5\n"),
    [["12;", "13;"], false],
  );
  assert.deepEqual(named("12;a\nSubmitted batch job 13 on cluster b"), [["12;a", "13;b"], false]);
  assert.deepEqual(named("Core hours left:\n1200\nSubmitted batch job 13\n99\n"), [
    ["13;"],
    false,
  ]);
  assert.deepEqual(named("Core hours left:\n1200\n13\n0\n"), [["1200;", "13;"], true]);
});

Deno.test("a refusal of sbatch is told from an answer that was lost", () => {
  const failed = (reason: string) => `sbatch: error: Batch job submission failed: ${reason}\n`;
  for (
    const lost of [
      "Socket timed out on send/recv operation",
      "Zero Bytes were transmitted or received",
      "Message receive failure",
      "Unable to contact slurm controller (send failure)",
      "Connection reset by peer",
      "Communication shutdown failure",
      "Insane message length",
      "Unspecified error",
    ]
  ) {
    assert.equal(saysNoAnswer(failed(lost)), true, lost);
    assert.equal(saysRefused(failed(lost)), false, lost);
  }
  for (
    const name of [
      "sbatch_badopt",
      "sbatch_badpart",
      "sbatch_cluster_bad",
      "sbatch_ctld_down_22.05.8",
      "sbatch_noscript",
      "sbatch_noshebang",
      "sbatch_testonly_bad",
    ]
  ) {
    const { stderr } = readSample(name);
    assert.deepEqual([saysNoAnswer(stderr), saysRefused(stderr)], [false, true], name);
  }
  assert.equal(saysRefused("sbatch: error: something that is only said\n"), false);
});

Deno.test("text around a submission line makes it none", () => {
  for (
    const text of [
      "",
      "sbatch: Job 475 to start at 2026-11-22T14:59:22 using 1 processors",
      "echo Submitted batch job 12",
      "Submitted batch job 12 at noon",
      "Submitted batch job x",
      "12 13",
      "12;",
      "-12",
    ]
  ) assert.deepEqual(parseSubmissions(text).submissions, [], text);
  assert.equal(saysTestOnly("sbatch: error: Job 475 failed"), false);
  for (const time of ["2026-11-22T14:59:22", "Tomorr 10:00", "22 Nov 14:59"]) {
    const line =
      `sbatch: Job 475 to start at ${time} using 1 processors on nodes n1 in partition main`;
    assert.equal(saysTestOnly(`Welcome\n${line}\n`), true, time);
  }
});

Deno.test("a state word is judged by its first word, and a truncated one is unknown", () => {
  assert.deepEqual(classifyState("CANCELLED by 1000"), {
    word: "CANCELLED",
    phase: "failed",
    mayBeRequeued: false,
  });
  assert.equal(classifyState("COMPLETED").phase, "completed");
  assert.equal(classifyState("COMPLETING").phase, "running");
  for (const word of ["NODE_FAIL", "PREEMPTED", "BOOT_FAIL"]) {
    assert.deepEqual(classifyState(word), { word, phase: "failed", mayBeRequeued: true });
  }
  for (const text of ["", "COMPLETED+", "completed", "OUT_OF_ME+", "REVOKED", "NEW_WORD", "CD"]) {
    assert.equal(classifyState(text).phase, "unknown", text);
  }
});

Deno.test("array specifications that Slurm refuses or has cut are refused", () => {
  for (
    const text of [
      "",
      ",",
      "5-1",
      "1-5:0",
      "-1",
      "1 - 3",
      "a",
      "1-",
      "1-3:",
      "6,8,13...",
      "4000001",
    ]
  ) assert.equal(parseArraySpec(text), undefined, text);
});

Deno.test("steps, brackets and the throttle of an array specification are read", () => {
  assert.deepEqual(parseArraySpec("[0,4,7-9:2,20%3]"), {
    ranges: [
      { first: 0, last: 0, step: 1 },
      { first: 4, last: 4, step: 1 },
      { first: 7, last: 9, step: 2 },
      { first: 20, last: 20, step: 1 },
    ],
    throttle: 3,
  });
  assert.deepEqual([...indices(parseArraySpec("0-6:3,1")?.ranges ?? [])], [0, 1, 3, 6]);
  const many = parseArraySpec("0-19999%50")?.ranges ?? [];
  assert.equal(many.length, 1);
  assert.equal(countIndices(many), 20000);
  assert.equal(new IndexSet(many).has(20000), false);
});

Deno.test("sets of indices are those of any other kind of set", () => {
  const lists = fc.uniqueArray(fc.nat(300));
  fc.assert(fc.property(lists, lists, (one, other) => {
    const [a, b] = [IndexSet.of(formatIndices(one)), IndexSet.of(formatIndices(other))];
    const sorted = (list: Iterable<number>) => [...list].sort((x, y) => x - y);
    assert.deepEqual([...a], sorted(one));
    assert.deepEqual([...a.without(b)], sorted(one.filter((index) => !other.includes(index))));
    assert.deepEqual([...a.within(b)], sorted(one.filter((index) => other.includes(index))));
    const all = sorted(new Set([...one, ...other]));
    assert.equal(a.addAll(b).toString(), formatIndices(all));
    assert.equal(a.size, all.length);
  }));
});

Deno.test("indices written down are the indices read back", () => {
  fc.assert(fc.property(fc.uniqueArray(fc.nat(3000), { minLength: 1 }), (list) => {
    const ascending = [...list].sort((a, b) => a - b);
    const ranges = parseArraySpec(formatIndices(list))?.ranges ?? [];
    assert.deepEqual([...indices(ranges)], ascending);
    assert.equal(countIndices(ranges), list.length);
  }));
});

Deno.test("ranges that overlap name every index once", () => {
  const range = fc.record({
    first: fc.nat(50),
    length: fc.nat(20),
    step: fc.integer({ min: 1, max: 7 }),
  });
  fc.assert(fc.property(fc.array(range, { minLength: 1, maxLength: 5 }), (list) => {
    const text = list.map(({ first, length, step }) => `${first}-${first + length}:${step}`).join();
    const expected = new Set<number>();
    for (const { first, length, step } of list) {
      for (let index = first; index <= first + length; index += step) expected.add(index);
    }
    const ranges = parseArraySpec(text)?.ranges ?? [];
    assert.deepEqual(
      [...indices(ranges)].sort((a, b) => a - b),
      [...expected].sort((a, b) => a - b),
    );
    assert.deepEqual(
      new Set(indices(parseArraySpec(formatRanges(ranges))?.ranges ?? [])),
      expected,
    );
  }));
});

Deno.test("a log file name is expanded only from what is known", () => {
  const task = { jobId: "530", arrayJobId: "526", arrayTaskId: 13, jobName: "nm" };
  assert.equal(expandPattern("o/%A_%4a-%x-%j.out", task), "o/526_0013-nm-530.out");
  assert.equal(expandPattern("%N.out", task), undefined);
  assert.equal(expandPattern("%A_%a", { jobId: "5" }), undefined);
  assert.equal(patternGlob("[x]%N_%a.out", task), "[[]x[]]*_13.out");
  assert.equal(expandPattern("%99j", { jobId: "7" }), "0000000007");
  assert.equal(expandPattern("%%j %q %", { jobId: "7" }), "%j %q %");
});

Deno.test("a backslash switches expansion off", () => {
  assert.equal(expandPattern("r\\_%j_%N.out", {}), "r_%j_%N.out");
});

Deno.test("%b has a meaning from 24.05 on and is in doubt without a version", () => {
  assert.equal(expandPattern("%b", { arrayTaskId: 13, slurmVersion: "24.05.3" }), "3");
  assert.equal(expandPattern("%b", { arrayTaskId: 13, slurmVersion: "23.11.10" }), "%b");
  assert.equal(expandPattern("%b", { arrayTaskId: 13 }), undefined);
});

Deno.test("the index that a pending array does not have yet becomes %a again", () => {
  assert.equal(pendingArrayPattern("/d/slurm-498_4294967294.out"), "/d/slurm-498_%a.out");
});

Deno.test("job references are read whole or not at all", () => {
  assert.deepEqual(parseReference("498_[0,4%3]"), { jobId: "498", tasks: "0,4%3" });
  assert.deepEqual(parseReference("478+1.0"), { jobId: "478", component: 1, step: "0" });
  for (const text of ["", "x", "505_[6,8", "516_", "516 ", "516_1_2", "JobID", "516+"]) {
    assert.equal(parseReference(text), undefined, text);
  }
  for (const text of ["", "0", "12x", "12_3", "12,13", "-1", "1".repeat(11)]) {
    assert.equal(isJobId(text), false, text);
  }
});

Deno.test("times, durations, memory and exit codes of Slurm's are read in seconds and bytes", () => {
  assert.equal(parseTime("1795359739"), 1795359739);
  assert.equal(
    parseTime("2026-11-22T15:02:19"),
    new Date(2026, 10, 22, 15, 2, 19).getTime() / 1000,
  );
  for (const text of ["Unknown", "None", "N/A", "0", "", "2026-11-22", "2026-13-40T99:00:00"]) {
    assert.equal(parseTime(text), undefined, text);
  }
  assert.equal(parseDuration("1-02:03:04"), 93784);
  assert.equal(parseDuration("03:04.567"), 184.567);
  for (const text of ["UNLIMITED", "Partition_Limit", "", "5", "1:2:3:4"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
  assert.deepEqual(parseMemory("4000Mn"), { bytes: 4000 * 1024 ** 2, per: "node" });
  assert.deepEqual(parseMemory("2Gc"), { bytes: 2 * 1024 ** 3, per: "cpu" });
  assert.deepEqual(parseMemory("1.50K"), { bytes: 1536 });
  for (const text of ["", "?", "5X", "-1M"]) assert.equal(parseMemory(text), undefined, text);
  assert.deepEqual(parseExit("0:9"), { code: 0, signal: 9 });
  for (const text of ["", "7", "a:b", "0:9:1"]) assert.equal(parseExit(text), undefined, text);
});

Deno.test("a table joins lines up to the delimiter count, whatever the text holds", () => {
  const columns = ["JobID", "SubmitLine", "State"];
  const text = fc.string({ unit: fc.constantFrom("a", "|", "=", "\n", " ", "é", "\\") });
  fc.assert(fc.property(fc.array(text), (lines) => {
    const stdout = lines.map((line, at) => `${at}\x1f${line}\x1fCOMPLETED\n`).join("");
    assert.deepEqual(parseTable(stdout, columns).map((row) => row["SubmitLine"]), lines);
  }));
});

Deno.test("a table is read the same wherever its output was cut, with or without a last newline", () => {
  const columns = ["JobID", "State"];
  const whole = "CLUSTER: a\n5\x1fCOMPLETED\n6\x1fx\x1fFAILED\n7\x1fFAI\nLED\n8\x1fTIMEOUT";
  for (const stdout of [whole, `${whole}\n`]) {
    for (let size = 1; size <= stdout.length; size++) {
      const ids: (string | undefined)[] = [];
      const reader = new TableReader(columns, (row) => ids.push(row["JobID"]));
      for (let at = 0; at < stdout.length; at += size) reader.read(stdout.slice(at, at + size));
      reader.end();
      assert.deepEqual(ids, ["5", "7", "8"], `in pieces of ${size}`);
    }
  }
});

Deno.test("a banner before a table and a row with a delimiter in its text cost no other row", () => {
  const stdout =
    "CLUSTER: a\nMaintenance on Monday\n5\x1fCOMPLETED\n6\x1fx\x1fFAILED\n7\x1fFAILED\n";
  assert.deepEqual(parseTable(stdout, ["JobID", "State"]).map((row) => row["JobID"]), ["5", "7"]);
});

Deno.test("a record whose text imitates a whole state block has no state", () => {
  const { stdout } = readSample("scontrol_weird_multiline_22.05.8");
  const forged = stdout.replace(
    "JobState=FAKE Reason=None\n",
    "JobState=FAKE Reason=None Dependency=(null)\n   Requeue=1 Restarts=0\n",
  );
  assert.equal(parseScontrolJobs(stdout)[0]?.state, "COMPLETED");
  assert.notEqual(forged, stdout);
  assert.equal(parseScontrolJobs(forged)[0]?.state, undefined);
});

Deno.test("a work directory that stands there twice is left out", () => {
  const { stdout } = readSample("scontrol_weird_multiline_22.05.8");
  const forged = stdout.replace("   JobState=FAKE", "   WorkDir=/elsewhere");
  assert.equal(parseScontrolJobs(forged)[0]?.workDir, undefined);
  assert.equal(parseScontrolJobs(forged)[0]?.state, "COMPLETED");
});

Deno.test("two records of one job id are both left out", () => {
  const { stdout } = readSample("scontrol_sid_22.05.8");
  assert.equal(parseScontrolJobs(stdout).length, 1);
  assert.equal(parseScontrolJobs(`${stdout}\n${stdout}`).length, 0);
});

Deno.test("only a refused column is named as one", () => {
  assert.equal(refusedColumn("sacct: fatal: Bad job/step specified: abc"), undefined);
});

Deno.test("the version is read from what SchedMD and Debian print", () => {
  assert.equal(parseVersion("slurm-wlm 22.05.8\n"), "22.05.8");
  assert.equal(parseVersion("slurm 25.11.0-0rc1\n"), "25.11.0-0rc1");
  assert.equal(parseVersion("sbatch: error: 5"), undefined);
});

Deno.test("lists of ids are cut into pieces that fit, without losing one", () => {
  const ids = Array.from({ length: 50_000 }, (_, at) => String(1_000_000 + at));
  const pieces = inPieces(ids);
  assert.deepEqual(pieces.flat(), ids);
  assert.ok(pieces.every((piece) => piece.join(",").length < 128 * 1024 - 1));
  assert.ok(pieces.length < 6);
  assert.deepEqual(inPieces([]), []);
});

Deno.test("of two state blocks the one that goes on as a record does is the true one", () => {
  const { stdout } = readSample("scontrol_weird_multiline_22.05.8");
  const forged = stdout.replace("Reason=None\nend", "Reason=None Dependency=(null)\nend");
  assert.notEqual(forged, stdout);
  assert.equal(parseScontrolJobs(forged)[0]?.state, "COMPLETED");
});

Deno.test("programs are asked for plain columns, whole lists and no header", () => {
  assert.deepEqual(sacctArgv({ jobIds: ["5", "6"], columns: ["JobID", "State"], cluster: "far" }), [
    "sacct",
    "--allusers",
    "--allocations",
    "--noheader",
    "--parsable2",
    "--delimiter=\x1f",
    "--noconvert",
    "--format=JobID,State",
    "--clusters=far",
    "--jobs=5,6",
  ]);
  assert.ok(!sacctArgv({ jobIds: ["5"], columns: [], steps: true }).includes("--allocations"));
  assert.deepEqual(squeueArgv(["5"]), [
    "squeue",
    "--noheader",
    "--array",
    "--states=all",
    "--format=%i\x1f%A\x1f%T\x1f%V\x1f%S\x1f%e\x1f%r",
    "--jobs=5",
  ]);
  assert.deepEqual(describeArgv("5", "far"), ["scontrol", "--clusters=far", "show", "job", "5"]);
  const search = sacctSearchArgv(["JobID"], 12.5);
  assert.ok(search.includes("--allclusters"));
  assert.ok(search.includes("--starttime=now-13seconds"));
});

Deno.test("a node list stands for names in their order", () => {
  const names = (list: string) => [...hostnames(list)];
  assert.deepEqual(names("n1"), ["n1"]);
  assert.deepEqual(names("n[01-03,7],m1"), ["n01", "n02", "n03", "n7", "m1"]);
  assert.deepEqual(names("r[1-2]n[9-10]-ib,a"), [
    "r1n9-ib",
    "r1n10-ib",
    "r2n9-ib",
    "r2n10-ib",
    "a",
  ]);
  assert.deepEqual(names("n[098-101]"), ["n098", "n099", "n100", "n101"]);
  for (const none of ["", "None assigned", "(null)", "Unknown"]) assert.deepEqual(names(none), []);
});
