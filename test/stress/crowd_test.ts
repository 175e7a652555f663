import assert from "node:assert/strict";
import { useCluster } from "../support/real_slurm.ts";
import { crowd } from "./crowd.ts";

useCluster();

Deno.test({
  name: "16 processes schedule and finish at once, two each the same, while a user works there",
  async fn() {
    const counts = await crowd({ kind: "git", processes: 16, rounds: 1, user: true });
    assert.equal(counts.jobs, 8);
    assert.ok(counts.ofUser > 0);
  },
});

Deno.test({
  name: "12 processes do so in a dataset with an annex",
  async fn() {
    const counts = await crowd({ kind: "annex", processes: 12, rounds: 1, user: true });
    assert.equal(counts.jobs, 6);
  },
});

Deno.test({
  name: "kills at random moments under load lose nothing and leave nothing",
  async fn() {
    const counts = await crowd({ kind: "git", processes: 12, rounds: 3, killed: 0.6 });
    assert.ok(counts.kills > 0);
  },
});
