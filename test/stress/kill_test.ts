import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, noRealSlurm, until, useCluster } from "../support/real_slurm.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";
import { goOn } from "./crashes.ts";
import { type Interposed, runInterposed } from "./interpose.ts";
import { survey } from "./survival.ts";

useCluster();

type Moment = Interposed & { readonly kind?: DatasetKind };

const KILL = "kill -KILL $TOOL";

/** The tool dies and what it has started goes on: sbatch submits after the end of `schedule`. */
const SCHEDULE_MOMENTS: Readonly<Record<string, Moment>> = {
  "before sbatch submits": { program: "sbatch", before: KILL },
  "when sbatch has submitted and not yet ended": { program: "sbatch", after: KILL },
  "before the commit is made": { program: "git", when: "*commit-tree*", before: KILL },
  "before the branch is moved": { program: "git", when: "*update-ref*", before: KILL },
};

const FINISH_MOMENTS: Readonly<Record<string, Moment>> = {
  "before git takes the files in": { program: "git", when: "*update-index*", before: KILL },
  "before git-annex adds": { program: "git-annex", when: "*add*", before: KILL, kind: "annex" },
  "when git-annex has added": { program: "git-annex", when: "*add*", after: KILL, kind: "annex" },
  "before the commits are made": { program: "git", when: "*fast-import*", before: KILL },
  "before the branch is moved": { program: "git", when: "*update-ref*finish*", before: KILL },
  "when the branch has moved": { program: "git", when: "*update-ref*finish*", after: KILL },
};

const tests: Record<string, () => Promise<void>> = {};

for (const [name, moment] of Object.entries(SCHEDULE_MOMENTS)) {
  tests[`a schedule that is killed ${name} is recorded by the next command`] = async () => {
    await using dataset = await TestDataset.make({ kind: moment.kind ?? "git" });
    const args = ["schedule", "-o", "out", "sbatch", "write.sh", "out"];
    assert.equal((await runInterposed(dataset, args, moment)).code, 137);
    await goOn(dataset);
    assert.equal((await survey(dataset)).open.length, 1);
  };
}

for (const [name, moment] of Object.entries(FINISH_MOMENTS)) {
  tests[`a finish that is killed ${name} is made good`] = async () => {
    await using dataset = await TestDataset.make({ kind: moment.kind ?? "git" });
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    assert.equal((await runInterposed(dataset, ["finish"], moment)).code, 137);
    await goOn(dataset);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    await survey(dataset);
  };
}

tests["a finish that dies with git's index.lock does not hold up one that has begun already"] =
  async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const [first, second] = [
      await dataset.schedule(["-o", "a", "sbatch", "write.sh", "a"]),
      await dataset.schedule(["-o", "b", "sbatch", "write.sh", "b"]),
    ];
    await jobsAreOver([first, second]);
    const words = [...toolArgv(), "finish", second].map((word) => `'${word}'`).join(" ");
    const environment = Object.entries(toolEnvironment())
      .map(([name, value]) => `${name}='${value}'`).join(" ");
    const begun = `${dataset.scratch.directory}/tmp/begun`;
    const bin = `${dataset.scratch.directory}/bin`;
    // The other finish has begun when it asks sacct; it gets its answer when the first one is dead.
    await Deno.mkdir(bin);
    await Deno.writeTextFile(
      `${bin}/sacct`,
      `#!/bin/sh\n[ -e '${begun}' ] || { mkfifo '${begun}'; read -r word <'${begun}'; }\n` +
        `PATH='${dataset.env["PATH"]}' exec sacct "$@"\n`,
      { mode: 0o755 },
    );
    const ended = `${dataset.scratch.directory}/tmp/ended`;
    // A script, so that no process has the first one's environment, by which its children are known.
    const other = `${dataset.scratch.directory}/tmp/other.sh`;
    await Deno.writeTextFile(
      other,
      `${environment} PATH='${bin}':"$PATH" ${words}\necho $? >'${ended}'\n`,
    );
    const ran = await runInterposed(dataset, ["finish", first], {
      program: "git",
      when: "*update-ref*finish*",
      before: `env -u DATALAD_SLURM_LOCK_TOKEN -u GIT_INDEX_FILE sh '${other}' &\n` +
        `while ! [ -p '${begun}' ]; do :; done\n${KILL}\necho go >'${begun}'`,
    });
    assert.equal(ran.code, 137, ran.stderr);
    await until("the other finish has ended", () => exists(ended));
    assert.equal(await Deno.readTextFile(ended), "0\n");
    await goOn(dataset);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: { [first]: written(first, ["a"]), [second]: written(second, ["b"]) },
    });
  };

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch {
    return false;
  }
}

tests["a finish that died in a job on a vanished node is made good once Slurm says so"] =
  async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    const over = (await dataset.run(["sbatch", "--parsable", "--chdir=/", "--wrap=true"])).stdout
      .trim();
    await jobsAreOver([id, over]);
    const elsewhere = 'hostname vanished; SLURM_JOB_ID=$0 exec "$@"';
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git",
      when: "*update-index*",
      before: KILL,
      through: ["unshare", "--uts", "sh", "-c", elsewhere, over],
    });
    assert.equal(ran.code, 137, ran.stderr);
    await goOn(dataset);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    await survey(dataset);
  };

tests["a finish on a vanished node of which nobody knows is named to those who wait"] =
  async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git",
      when: "*update-index*",
      before: KILL,
      through: ["unshare", "--uts", "sh", "-c", 'hostname vanished; exec "$@"', "sh"],
    });
    assert.equal(ran.code, 137, ran.stderr);
    const { code, stderr } = await dataset.tool(["finish", "--lock-timeout", "0"]);
    assert.equal(code, 4, stderr);
    assert.match(stderr, /@vanished, pid \d+, is finishing the same jobs/);
    assert.match((await dataset.tool(["recover"])).stderr, /at work[^]*@vanished/);
  };

concurrently(noRealSlurm, tests);
