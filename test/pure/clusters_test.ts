import assert from "node:assert/strict";
import { hintOnLiveJob } from "../../lib/cli/job_state.ts";
import { clustersNamedIn } from "../../lib/slurm/clusters.ts";
import { classifyFailure } from "../../lib/slurm/outcome.ts";
import { standInCluster } from "../../lib/slurm/stand_in.ts";
import { saysRefused } from "../../lib/slurm/submission.ts";

Deno.test("clusters are found in a command line and in a script's directives", () => {
  for (
    const [text, names] of [
      ["sbatch -M other job.sh", ["other"]],
      ["sbatch -Mother,test job.sh", ["other", "test"]],
      ["sbatch --clusters=other job.sh", ["other"]],
      ["sbatch --cluster 'other' job.sh", ["other"]],
      ["./submit.sh\n#SBATCH --mem=1G\n#SBATCH -M other\n#SBATCH --clusters=other", ["other"]],
      ["SBATCH_CLUSTERS=other sbatch job.sh", ["other"]],
      ["sbatch --cluster-constraint=fast job.sh", []],
      ["sbatch -n1-M2 x-M3 --mem=3 job.sh", []],
    ] as const
  ) assert.deepEqual(clustersNamedIn(text), names, text);
});

const DOWN = "error: 'other' can't be reached now, or it is an invalid entry for --cluster.  " +
  "Use 'sacctmgr list clusters' to see available clusters.\n";

Deno.test("a cluster whose slurmctld is down is told from one that there is not (22.05)", () => {
  assert.equal(classifyFailure(`squeue: ${DOWN}`), "slurmctld-down");
  const none = `squeue: error: No cluster 'other' known by database.\nsqueue: ${DOWN}`;
  assert.equal(classifyFailure(none), "failed");
  assert.equal(saysRefused(`sbatch: ${DOWN}`), true);
});

Deno.test("how to cancel a job of another cluster does not cancel the local one of that id", () => {
  const hint = (cluster?: string) =>
    hintOnLiveJob({
      jobId: "45",
      phase: "pending",
      state: "SPECIAL_EXIT",
      ...(cluster === undefined ? {} : { cluster }),
    });
  assert.match(`${hint("other")}`, /scontrol -M other release 45; .* scancel -M other 45$/);
  assert.match(`${hint()}`, /with: scontrol release 45; .* with: scancel 45$/);
  // The stand-in's programs are not on PATH, and others of their names may be.
  assert.match(
    `${hint(standInCluster("host"))}`,
    /with: \/\S+\/scontrol release 45; .* with: \/\S+\/scancel 45$/,
  );
});
