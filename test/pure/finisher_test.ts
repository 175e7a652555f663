import assert from "node:assert/strict";
import { splitWords } from "../../lib/record/command.ts";
import { finisherArgv, finisherEnvironment, inheritedOptions } from "../../lib/slurm/finisher.ts";
import { combineRecords } from "../../lib/slurm/show_job.ts";
import { parseScontrolJobs } from "../../lib/slurm/scontrol.ts";
import { readSample } from "../support/slurm_sample.ts";

Deno.test("words are parted as a shell parts them, and nothing else is done to them", () => {
  const cases: [string, string[] | undefined][] = [
    ["", []],
    ["  --time=10   -p short ", ["--time=10", "-p", "short"]],
    [`--comment='a "b" $c' "d\\"\\e" f\\ g''h`, ['--comment=a "b" $c', 'd"\\e', "f gh"]],
    ["'' \"\"", ["", ""]],
    ["*.sh $(x)", ["*.sh", "$(x)"]],
    ["'open", undefined],
    ['a "open', undefined],
    ["a\\", undefined],
  ];
  for (const [text, words] of cases) assert.deepEqual(splitWords(text), words, text);
});

Deno.test("a finishing job waits for its job however that ends, and its own options stand last", () => {
  const argv = finisherArgv({
    jobId: "516",
    cluster: "east",
    options: ["--time=10", "--output=mine"],
    log: "/ds/100%/.git/log",
    directory: "/ds/100%",
    argv: ["/opt/my tool", "finish", "516"],
    environment: { DENO_DIR: "/a b" },
  });
  assert.deepEqual(argv, [
    "sbatch",
    "--time=10",
    "--output=mine",
    "--clusters=east",
    "--job-name=finish-516",
    "--dependency=afterany:516",
    "--kill-on-invalid-dep=yes",
    "--output=/ds/100%%/.git/log",
    "--open-mode=append",
    "--chdir=/ds/100%",
    "--export=ALL",
    "--wrap=DENO_DIR='/a b' exec '/opt/my tool' finish 516",
  ]);
});

Deno.test("a finishing job goes where its job went", () => {
  const [job] = parseScontrolJobs(readSample("scontrol_sid_22.05.8").stdout);
  assert.deepEqual(inheritedOptions(job && combineRecords([job])), [
    `--partition=${job?.partition}`,
    `--account=${job?.account}`,
    `--qos=${job?.qos}`,
  ]);
  assert.equal(job?.account, "root");
  assert.equal(job?.qos, "normal");
  assert.deepEqual(inheritedOptions(undefined), []);
});

Deno.test("what is about another job is taken from a finishing job's environment", () => {
  const names = ["SBATCH_ARRAY_INX", "SBATCH_ACCOUNT", "SLURM_JOB_ID", "SLURM_CONF", "PATH"];
  assert.deepEqual(Object.keys(finisherEnvironment(names)), ["SBATCH_ARRAY_INX", "SLURM_JOB_ID"]);
});
