import assert from "node:assert/strict";
import { parseScontrolJobs } from "../../lib/slurm/scontrol.ts";
import { combineRecords } from "../../lib/slurm/show_job.ts";

function record(id: number, task: string, state: string, log: string): string {
  return `JobId=${id} ArrayJobId=9 ArrayTaskId=${task} JobName=a\n   Priority=1 Nice=0\n` +
    `   JobState=${state} Reason=None Dependency=(null)\n   Requeue=1 Restarts=0\n` +
    `   Command=(null)\n   WorkDir=/w\n   StdErr=${log}\n   StdIn=/dev/null\n   StdOut=${log}\n\n`;
}

Deno.test("the log files of an array are known when all but its last task have started", () => {
  const records = parseScontrolJobs(
    record(10, "1", "RUNNING", "/w/slurm-9_1.out") +
      record(11, "2", "RUNNING", "/w/slurm-9_2.out") +
      record(9, "3", "PENDING", "/w/slurm-9_4294967294.out"),
  );
  assert.equal(combineRecords(records)?.stdout, "/w/slurm-9_%a.out");
  assert.equal(combineRecords(records)?.array, "1-3");
});
