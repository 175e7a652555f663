import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, noRealSlurm, slurm, useCluster } from "../support/real_slurm.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";
import { addSubdataset, goOn } from "./crashes.ts";
import { survey } from "./survival.ts";

useCluster();

/** Submits a job, of no dataset, that calls the tool on a node; returns its id. */
async function onNode(dataset: TestDataset, args: readonly string[], at: number): Promise<string> {
  const env = { ...dataset.env, ...toolEnvironment() };
  const exported = Object.entries(env).map(([name, value]) => `export ${name}='${value}'`);
  const script = `${dataset.scratch.directory}/tmp/on-node-${at}.sh`;
  await Deno.writeTextFile(
    script,
    ["#!/bin/sh", ...exported, `cd '${dataset.root}'`, [...toolArgv(), ...args].join(" ")]
      .join("\n") + "\n",
  );
  const log = `${dataset.scratch.directory}/tmp/on-node-${at}.log`;
  const said = await slurm("sbatch", "--parsable", "--chdir=/", `--output=${log}`, script);
  return said.trim().split(";")[0] ?? "";
}

/** Waits for jobs on nodes and returns how the tool ended there, and what it said. */
async function endings(
  dataset: TestDataset,
  ids: readonly string[],
): Promise<{ code: string; said: string }[]> {
  await jobsAreOver(ids);
  return await Promise.all(ids.map(async (id, at) => ({
    code: /ExitCode=(\d+)/.exec(await slurm("scontrol", "show", "job", id))?.[1] ?? "",
    said: await Deno.readTextFile(`${dataset.scratch.directory}/tmp/on-node-${at}.log`),
  })));
}

const tests: Record<string, () => Promise<void>> = {};

for (const kind of ["git", "annex"] satisfies DatasetKind[]) {
  tests[`jobs on the nodes finish other jobs and the same ones at the same time (${kind})`] =
    async () => {
      await using dataset = await TestDataset.make({ kind });
      const base = await dataset.git("rev-parse", "HEAD");
      const outputs = ["a", "b", "c", "d"];
      const ids: string[] = [];
      for (const output of outputs) {
        ids.push(await dataset.schedule(["-o", output, "sbatch", "write.sh", output]));
      }
      await jobsAreOver(ids);
      const commands = [...ids.map((id) => ["finish", id]), ["finish"], ["finish", ...ids]];
      const nodes = await Promise.all(commands.map((args, at) => onNode(dataset, args, at)));
      for (const { code, said } of await endings(dataset, nodes)) {
        assert.ok(code === "0" || /is finished already/.test(said), `Exit code ${code}: ${said}`);
      }
      await checkDataset(dataset, {
        base,
        finished: Object.fromEntries(
          ids.map((id, at) => [id, written(id, [outputs[at] ?? ""])]),
        ),
      });
      await survey(dataset);
    };
}

tests["jobs on the nodes finish jobs with outputs in one subdataset"] = async () => {
  await using dataset = await TestDataset.make();
  await addSubdataset(dataset);
  const outputs = ["sub/a", "sub/b", "sub/c"];
  const ids: string[] = [];
  for (const output of outputs) {
    ids.push(await dataset.schedule(["-o", output, "sbatch", "write.sh", output]));
  }
  await jobsAreOver(ids);
  const nodes = await Promise.all(ids.map((id, at) => onNode(dataset, ["finish", id], at)));
  for (const { code, said } of await endings(dataset, nodes)) assert.equal(code, "0", said);
  assert.deepEqual((await survey(dataset, ["", "sub"])).open, []);
  assert.equal(await dataset.git("status", "--porcelain"), "");
  assert.equal(
    await dataset.git("rev-parse", "HEAD:sub"),
    await dataset.git("-C", "sub", "rev-parse", "HEAD"),
  );
  assert.equal(await dataset.git("-C", "sub", "ls-files"), "a\nb\nc");
};

tests["a job that Slurm ends while it finishes another one loses nothing"] = async () => {
  await using dataset = await TestDataset.make();
  const base = await dataset.git("rev-parse", "HEAD");
  const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
  await jobsAreOver([id]);
  const bin = `${dataset.scratch.directory}/bin`;
  await Deno.mkdir(bin);
  // The node's job is cancelled while it waits in here.
  await Deno.writeTextFile(
    `${bin}/git`,
    `#!/bin/sh\nPATH='${dataset.env["PATH"]}'\n` +
      'case "$*" in *fast-import*) scancel --signal=KILL --full "$SLURM_JOB_ID"; sleep 60;; esac\n' +
      'exec git "$@"\n',
    { mode: 0o755 },
  );
  const path = dataset.env["PATH"] ?? "";
  dataset.env["PATH"] = `${bin}:${path}`;
  const node = await onNode(dataset, ["finish"], 0);
  dataset.env["PATH"] = path;
  await jobsAreOver([node]);
  await goOn(dataset);
  await dataset.succeed(["finish"]);
  await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  await survey(dataset);
};

concurrently(noRealSlurm, tests);
