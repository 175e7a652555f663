/**
 * The tool is killed at a part of its steps, one after the other; `make stress` tries all of them.
 * What reads only is left out here, and so are the steps of the lock, which has tests of its own.
 */
import { noRealSlurm, useCluster } from "../support/real_slurm.ts";
import { crashEverywhere, NO_CHANGE } from "./crashes.ts";

useCluster();

Deno.test({
  name: "a crash at any step that changes something loses nothing and leaves nothing",
  ignore: noRealSlurm,
  fn: async () => void await crashEverywhere({ kind: "git", leaveOut: NO_CHANGE, every: 9 }),
});

Deno.test({
  name: "nor does one in a dataset with an annex",
  ignore: noRealSlurm,
  fn: async () => void await crashEverywhere({ kind: "annex", leaveOut: NO_CHANGE, every: 19 }),
});

Deno.test({
  name: "nor does one where the outputs are in a subdataset",
  ignore: noRealSlurm,
  fn: async () =>
    void await crashEverywhere({ kind: "git", nested: true, leaveOut: NO_CHANGE, every: 23 }),
});

Deno.test({
  name: "nor does one where finished jobs are merged from branches of their own",
  ignore: noRealSlurm,
  fn: async () =>
    void await crashEverywhere({
      kind: "git",
      layout: "--octopus",
      commands: ["finish"],
      leaveOut: NO_CHANGE,
      every: 23,
    }),
});

Deno.test({
  name: "nor does one of the command that goes on with what a crash has left",
  ignore: noRealSlurm,
  fn: async () =>
    void await crashEverywhere({
      kind: "git",
      commands: ["recover"],
      leaveOut: NO_CHANGE,
      every: 11,
    }),
});

for (const blow of ["fail", "full"] as const) {
  Deno.test({
    name: `a step that ${
      blow === "fail" ? "fails" : "finds the disk full"
    } is told as trouble, and loses nothing`,
    ignore: noRealSlurm,
    fn: async () =>
      void await crashEverywhere({
        kind: "git",
        blow,
        commands: ["schedule", "finish"],
        leaveOut: NO_CHANGE,
        every: 15,
      }),
  });
}
