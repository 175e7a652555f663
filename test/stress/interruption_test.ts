import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, noRealSlurm, useCluster } from "../support/real_slurm.ts";
import { goOn } from "./crashes.ts";
import { type Interposed, runInterposed } from "./interpose.ts";
import { survey } from "./survival.ts";

useCluster();

type Moment = Interposed & {
  readonly kind?: DatasetKind;
  /** Whether the command may be over before it sees the signal. */
  readonly late?: boolean;
};

const SCHEDULE_MOMENTS: Readonly<Record<string, Moment>> = {
  "before sbatch": { program: "sbatch", before: "kill -SIGNAL $TOOL" },
  "when sbatch has submitted": { program: "sbatch", after: "kill -SIGNAL $TOOL" },
  "while the configuration is read": {
    program: "git",
    when: "*config*",
    before: "kill -SIGNAL $TOOL",
  },
  "while the branch is moved": {
    program: "git",
    when: "*update-ref*",
    before: "kill -SIGNAL $TOOL",
    late: true,
  },
};

const FINISH_MOMENTS: Readonly<Record<string, Moment>> = {
  "while sacct is asked": { program: "sacct", before: "kill -SIGNAL $TOOL" },
  "while files are hashed": {
    program: "git",
    when: "*update-index*",
    before: "kill -SIGNAL $TOOL",
  },
  "while git-annex adds": {
    program: "git-annex",
    when: "*add*",
    before: "kill -SIGNAL $TOOL",
    kind: "annex",
  },
  "while the commits are made": {
    program: "git",
    when: "*fast-import*",
    before: "kill -SIGNAL $TOOL",
  },
  "when the branch has moved": {
    program: "git",
    when: "*update-ref*",
    after: "kill -SIGNAL $TOOL",
    late: true,
  },
};

function sending(signal: string, { before, after, ...rest }: Moment): Interposed {
  const send = (line: string | undefined) => line?.replace("SIGNAL", signal.replace("SIG", ""));
  const [first, last] = [send(before), send(after)];
  return {
    ...rest,
    ...(first === undefined ? {} : { before: first }),
    ...(last === undefined ? {} : { after: last }),
  };
}

const tests: Record<string, () => Promise<void>> = {};
for (const signal of ["SIGINT", "SIGTERM"]) {
  for (const [name, moment] of Object.entries(SCHEDULE_MOMENTS)) {
    tests[`${signal} to schedule ${name} loses no job`] = async () => {
      await using dataset = await TestDataset.make({ kind: moment.kind ?? "git" });
      const args = ["schedule", "-o", "out", "sbatch", "write.sh", "out"];
      const { code, stderr } = await runInterposed(dataset, args, sending(signal, moment));
      if (code !== 0 || moment.late !== true) assert.equal(code, 130, stderr);
      const { accepted } = await survey(dataset);
      if (accepted.length === 0) await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
      assert.equal((await survey(dataset)).open.length, 1);
    };
  }
  for (const [name, moment] of Object.entries(FINISH_MOMENTS)) {
    tests[`${signal} to finish ${name} loses nothing`] = async () => {
      await using dataset = await TestDataset.make({ kind: moment.kind ?? "git" });
      const base = await dataset.git("rev-parse", "HEAD");
      const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
      await jobsAreOver([id]);
      const { code, stderr } = await runInterposed(dataset, ["finish"], sending(signal, moment));
      if (code !== 0 || moment.late !== true) {
        assert.equal(code, 130, stderr);
        assert.match(stderr, new RegExp(`Interrupted by ${signal}|Stopping after ${signal}`));
      }
      await goOn(dataset);
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
      await survey(dataset);
    };
  }
}

concurrently(noRealSlurm, tests);
