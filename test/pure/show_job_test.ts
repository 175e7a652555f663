import assert from "node:assert/strict";
import { parseScontrolJobs } from "../../lib/slurm/scontrol.ts";
import { IndexSet } from "../../lib/slurm/array.ts";
import { combineRecords, mayLackTasks, withTasks } from "../../lib/slurm/show_job.ts";

function record(id: number, task: string, state: string, log: string, more = ""): string {
  return `JobId=${id} ArrayJobId=9 ArrayTaskId=${task} ${more}JobName=a\n   Priority=1 Nice=0\n` +
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

Deno.test("the throttle of an array is known when all its tasks have started", () => {
  const array = (throttle: number) =>
    combineRecords(parseScontrolJobs(
      record(10, "1", "RUNNING", "/w/a", `ArrayTaskThrottle=${throttle} `) +
        record(9, "2", "RUNNING", "/w/b", `ArrayTaskThrottle=${throttle} `),
    ))?.array;
  assert.equal(array(2), "1-2%2");
  assert.equal(array(0), "1-2");
});

Deno.test("an array that slurmctld has forgotten tasks of has those that others tell as well", () => {
  const told = (others: string, ...records: string[]) => {
    const job = combineRecords(parseScontrolJobs(records.join("")));
    assert.ok(job !== undefined);
    assert.deepEqual([mayLackTasks(job, 1000), mayLackTasks(job, 60_000)], [false, true]);
    const { array, stdout } = withTasks(job, "9", IndexSet.of(others));
    return { array, stdout };
  };
  const some = [record(10, "1", "RUNNING", "/w/1.log"), record(9, "2", "RUNNING", "/w/2.log")];
  const [usual = "", other = "", shared = ""] = ["slurm-9_2.out", "x2", "log"]
    .map((name) => record(9, "2", "RUNNING", `/w/${name}`, "ArrayTaskThrottle=5 "));
  assert.deepEqual(told("0-3", ...some), { array: "0-3", stdout: "/w/%a.log" });
  assert.deepEqual(told("0,1", usual), { array: "0-2%5", stdout: "/w/slurm-9_%a.out" });
  assert.deepEqual(told("0,1", other), { array: "0-2%5", stdout: undefined });
  assert.deepEqual(told("", other), { array: "2%5", stdout: "/w/x2" });
  assert.deepEqual(told("0-2", shared), { array: "0-2%5", stdout: "/w/log" });
  const waiting = record(9, "4", "PENDING", "/w/4-9_4294967294.out");
  assert.deepEqual(told("0-2", waiting), { array: "0-2,4", stdout: "/w/4-9_%a.out" });
});

Deno.test("a heterogeneous job has the components up to its last one, whichever are shown", () => {
  const component = (id: number, offset: number) =>
    `JobId=${id} HetJobId=9 HetJobOffset=${offset} JobName=a\n   Priority=1 Nice=0\n` +
    `   JobState=PENDING Reason=None Dependency=(null)\n   Requeue=1 Restarts=0\n` +
    `   Command=(null)\n   WorkDir=/w\n   StdOut=/w/a\n\n`;
  const count = (...records: string[]) =>
    combineRecords(parseScontrolJobs(records.join("")))?.components;
  assert.equal(count(component(9, 0), component(10, 1)), 2);
  assert.equal(count(component(9, 0), component(11, 2)), 3);
});
