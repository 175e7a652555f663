/**
 * The tool is killed at a part of its steps, one after the other; `make stress` tries all of them.
 * What reads only is left out here, and so are the steps of the lock, which has tests of its own.
 */
import { noSlurm, useCluster } from "../support/real_slurm.ts";
import { crashEverywhere, NO_CHANGE } from "./crashes.ts";

useCluster();

Deno.test({
  name: "a crash at any step that changes something loses nothing and leaves nothing",
  ignore: noSlurm,
  fn: async () => void await crashEverywhere({ kind: "git", leaveOut: NO_CHANGE, every: 4 }),
});

Deno.test({
  name: "nor does one in a dataset with an annex",
  ignore: noSlurm,
  fn: async () => void await crashEverywhere({ kind: "annex", leaveOut: NO_CHANGE, every: 9 }),
});

Deno.test({
  name: "nor does one where the outputs are in a subdataset",
  ignore: noSlurm,
  fn: async () =>
    void await crashEverywhere({ kind: "git", nested: true, leaveOut: NO_CHANGE, every: 11 }),
});
