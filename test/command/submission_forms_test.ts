import assert from "node:assert/strict";
import { checkDataset, type Content, environmentOf, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, letGo, TestDataset } from "../support/dataset.ts";
import {
  jobIs,
  jobsAreOver,
  jobsSubmittedBelow,
  noRealSlurm,
  slurm,
  useCluster,
} from "../support/real_slurm.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";

useCluster();

/** Returns what the last commit says of its job in the part that is the tool's own. */
async function toolPart(dataset: TestDataset, commit = "HEAD") {
  return (await dataset.record(commit)).datalad_slurm;
}

/** Puts a script named `sbatch` in front of PATH, as sites do; `$real` is the real one. */
async function wrapSbatch(dataset: TestDataset, lines: string): Promise<{ PATH: string }> {
  const real = (await dataset.run(["which", "sbatch"])).stdout.trim();
  return { PATH: await dataset.pathWith({ sbatch: `real=${real}\n${lines}` }) };
}

const TIMED_OUT =
  "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2";

concurrently(false, {
  "a job sees the environment as it is, whatever names are in it": async () => {
    await using dataset = await TestDataset.make();
    const names = ["pid", "others", "token", "bin", "line", "code"];
    const env = Object.fromEntries(names.map((name) => [name, "mine"]));
    const echo = `echo ${names.map((name) => `"$${name}"`).join(" ")} >`;
    const [plain, batch] = ["plain", "batch"].map((out) => ["sbatch", `--wrap=${echo}${out}`]);
    const throughShell = ["sh", "-c", `sbatch --wrap='${echo}shell'`];
    const stdin = JSON.stringify({ outputs: "batch", command: batch });
    await dataset.succeed(["schedule", "-o", "plain", ...plain ?? []], { env });
    await dataset.succeed(["schedule", "-o", "shell", ...throughShell], { env });
    await dataset.succeed(["schedule", "--batch", "-"], { env, stdin });
    await jobsAreOver(await jobsSubmittedBelow(dataset.root));
    for (const out of ["plain", "shell", "batch"]) {
      const said = await Deno.readTextFile(`${dataset.root}/${out}`);
      assert.equal(said.trim(), names.map(() => "mine").join(" "), out);
    }
  },
  "sbatch has variables that are not UTF-8, and none that the user has not": async () => {
    await using dataset = await TestDataset.make();
    const seen = `${dataset.scratch.directory}/seen`;
    const env = {
      ...toolEnvironment(),
      // Also the stand-in's programs are taken as they are on PATH then.
      DATALAD_SLURM: "cluster",
      ...await wrapSbatch(dataset, `env -0 >${seen}; exec $real "$@"`),
    };
    const names = async () => {
      const bytes = await Deno.readFile(seen);
      await Deno.remove(seen);
      const variables = new TextDecoder("latin1").decode(bytes).split("\0");
      assert.ok(variables.includes("XX=a\xffb"), variables.join("\n"));
      // The shell of a batch changes the directory.
      return variables.map((variable) => variable.split("=", 1)[0] ?? "")
        .filter((name) => name !== "OLDPWD").sort();
    };
    const given = ["sh", "-c", 'XX=$(printf "a\\377b"); export XX; exec "$@"', "sh"];
    await dataset.run([...given, "sbatch", "-H", "write.sh"], { env });
    const plain = await names();
    for (
      const [stdin, ...command] of [
        ["", "-o", "a", "sbatch", "-H", "write.sh"],
        ["", "-o", "b", "sh", "-c", "sbatch -H write.sh"],
        [JSON.stringify({ outputs: "c", command: ["sbatch", "-H", "write.sh"] }), "--batch", "-"],
      ]
    ) {
      const argv = [...given, ...toolArgv(), "schedule", ...command];
      const { code, stderr } = await dataset.run(argv, { env, stdin: stdin ?? "" });
      assert.equal(code, 0, stderr);
      assert.deepEqual(await names(), plain, command.join(" "));
    }
  },
  "sbatch --test-only is recognised: nothing is recorded and the output is free": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const { code, stderr } = await dataset.tool(
      ["schedule", "-o", "out", "sbatch", "--test-only", "write.sh", "out"],
    );
    assert.equal(code, 1);
    assert.match(stderr, /^Error: sbatch --test-only submits nothing$/m);
    assert.match(stderr, /^Hint: Leave --test-only out/m);
    await checkDataset(dataset, { base });
    // A job that is submitted beside it is recorded, also when nothing is printed about it.
    const command = "sbatch --test-only write.sh out && sbatch -Q -H write.sh out";
    const id = await dataset.schedule(["-o", "out", command]);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    await checkDataset(dataset, { base, open: [id] });
  },
  "sbatch -Q --wait of a job that fails prints nothing, and its job is recorded": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const { code, stdout, stderr } = await dataset.tool(
      ["schedule", "-o", "out", "sbatch", "-Q", "--wait", "fail.sh", "out"],
    );
    assert.equal(code, 0);
    assert.match(stderr, /ended with exit code 3, but job \d+ was submitted/);
    const id = jobIdIn(stdout);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    await checkDataset(dataset, { base, open: [id], status: ["?? out", `?? slurm-${id}.out`] });
  },
  ...Object.fromEntries(
    (["KILL", "INT"] as const).map((signal) => [
      `SIG${signal} while sbatch --wait waits: the job is recorded while it runs`,
      async () => {
        await using dataset = await TestDataset.make();
        const base = await dataset.git("rev-parse", "HEAD");
        const pipe = await dataset.pipe("pipe");
        const { code } = await dataset.tool([
          "schedule",
          "-o",
          "out",
          `sbatch --wait wait.sh ${pipe} out & ` +
          `until grep -q Submitted /proc/$$/fd/1; do sleep 0.05; done; ` +
          `sh kill_tool.sh ${signal}; wait`,
        ]);
        assert.equal(code, signal === "KILL" ? 137 : 130);
        const [id = ""] = await jobsSubmittedBelow(dataset.root);
        await jobIs(id, "RUNNING");
        const { stdout } = await dataset.tool(["status"]);
        assert.match(stdout, new RegExp(` ${id} `));
        await checkDataset(dataset, { base, open: [id], status: [`?? slurm-${id}.out`] });
        await letGo(pipe);
        await jobsAreOver([id]);
      },
    ]),
  ),
  "#SBATCH --parsable among banners that are numbers": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("job.sh", "#!/bin/sh\n#SBATCH --parsable\n#SBATCH -H\n");
    const base = await dataset.commit("Job");
    const id = await dataset.schedule(["-o", "a", "echo 7; sbatch job.sh; echo 1200; echo 99"]);
    // A number that is the id of an earlier job.
    const other = await dataset.schedule(["-o", "b", `sbatch job.sh; echo ${id}`]);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id, other]);
    // No job at all.
    const { code, stderr } = await dataset.tool(["schedule", "-o", "c", "echo 123456789"]);
    assert.match(stderr, /The command submitted no job/);
    assert.equal(code, 1);
    await checkDataset(dataset, { base, open: [id, other] });
  },
  "a site's wrapper that prints banners with digits is passed through": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const env = await wrapSbatch(dataset, 'echo "Project 4711:"; echo 12; $real "$@"; echo 300');
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"], { env });
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    const quiet = await dataset.schedule(["-o", "b", "sbatch", "-Q", "-H", "write.sh"], { env });
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id, quiet]);
    await jobsAreOver([id]);
    assert.equal((await dataset.tool(["finish"], { env })).code, 8);
    await checkDataset(dataset, {
      base,
      open: [quiet],
      finished: { [id]: written(id, ["out"]) },
    });
  },
  "of several jobs of one command the last is recorded, and the others are named": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    for (const quiet of ["", "-Q"]) {
      const before = await jobsSubmittedBelow(dataset.root);
      const { code, stdout, stderr } = await dataset.tool([
        "schedule",
        "-o",
        `out${quiet}`,
        `sbatch ${quiet} -H write.sh x; sbatch ${quiet} -H write.sh y`,
      ]);
      assert.equal(code, 0);
      const [first, last] = (await jobsSubmittedBelow(dataset.root)).slice(before.length);
      assert.equal(jobIdIn(stdout), last);
      assert.match(
        stderr,
        new RegExp(`more than one job; recorded is ${last}, the last, but not ${first}`),
      );
    }
    const all = await jobsSubmittedBelow(dataset.root);
    await checkDataset(dataset, { base, open: all.filter((_, at) => at % 2 === 1) });
  },
  "paths outside the dataset are recorded without the user's name": async () => {
    await using dataset = await TestDataset.make();
    const home = dataset.env["HOME"] ?? "";
    const logs = `${dataset.scratch.directory}/tmp/ada/logs`;
    await Deno.mkdir(logs, { recursive: true });
    await dataset.schedule(
      ["-o", "out", "sbatch", "-H", "-D", home, "-o", `${logs}/%j.out`, "write.sh", "out"],
      { env: { USER: "ada" } },
    );
    const { job } = await toolPart(dataset);
    assert.equal(job.work_dir, "~");
    assert.match(job.stdout, /\/tmp\/%u\/logs\/\d+\.out$/);
  },
  "a job's directory is told as it is, however sbatch was told of it": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("sub/file", "");
    await Deno.symlink("sub", `${dataset.root}/link`);
    const base = await dataset.commit("Directory and link to it");
    const forms = [["..", "."], ["../sub/..", "."], ["../link", "sub"], [
      "../sub//",
      "sub",
    ]] as const;
    const finished: Record<string, Record<string, Content>> = {};
    for (const [chdir, directory] of forms) {
      const id = await dataset.schedule(
        ["-o", "../out", "sbatch", "-D", chdir, "--wrap", `echo ${chdir} >${dataset.root}/out`],
        { in: "sub" },
      );
      assert.equal((await toolPart(dataset)).job.work_dir, directory);
      await jobsAreOver([id]);
      const { stderr } = await dataset.tool(["finish"]);
      assert.equal(stderr, "");
      const logs = directory === "." ? "" : `${directory}/`;
      finished[id] = {
        out: `${chdir}\n`,
        [`${logs}slurm-${id}.out`]: "",
        [`${logs}slurm-job-${id}.env.json`]: environmentOf(id),
      };
    }
    await checkDataset(dataset, { base, finished });
  },
  "a log in the home directory is none of the dataset's files": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      ...["-o", "out", "sbatch", "-o", `${dataset.env["HOME"]}/%j.log`, "write.sh", "out"],
    ]);
    assert.equal((await toolPart(dataset)).job.stdout, `~/${id}.log`);
    await jobsAreOver([id]);
    const { stderr } = await dataset.tool(["finish"]);
    assert.doesNotMatch(stderr, /Warning/);
    const { [`slurm-${id}.out`]: _, ...files } = written(id, ["out"]);
    await checkDataset(dataset, { base, finished: { [id]: files } });
  },
});

concurrently(noRealSlurm, {
  "the cluster that sbatch names is recorded, and asked later on": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const stdout = await dataset.succeed(
      ["schedule", "-o", "out", "sbatch", "-M", "test", "write.sh", "out"],
    );
    const id = jobIdIn(stdout);
    assert.match(stdout, /^Submitted batch job \d+ on cluster test$/m);
    assert.equal((await toolPart(dataset)).cluster, "test");
    await jobsAreOver([id]);
    // Whatever the environment names, that cluster is asked.
    await dataset.succeed(["finish"], { env: { SLURM_CLUSTERS: "elsewhere" } });
    const { [`slurm-job-${id}.env.json`]: known, ...others } = written(id, ["out"]);
    assert.ok(known !== undefined);
    const files = { ...others, [`slurm-job-${id}-test.env.json`]: known };
    await checkDataset(dataset, { base, finished: { [id]: files } });
  },
  "what slurmctld keeps of a job that it has refused is no job": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const command = ["schedule", "-o", "out", "sbatch", "--mem=900G", "write.sh", "out"];
    const { code, stderr } = await dataset.tool(command);
    assert.equal(code, 3);
    assert.match(stderr, /^Error: The command submitted no job/m);
    assert.match(stderr, /Requested node configuration is not available/);
    await checkDataset(dataset, { base });
  },
  "sbatch --wrap and heterogeneous jobs are recorded with what Slurm knows of them": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const wrapped = await dataset.schedule(
      ["-o", "a", "sbatch", "-H", "-t", "7", "-J", "two words", "--mem=12M", "--wrap", "true"],
    );
    const { job } = await toolPart(dataset);
    assert.equal(job.name, "two words");
    assert.equal(job.time_limit_seconds, 7 * 60);
    assert.match(job.requested, /^cpu=1,mem=12M,node=1/);
    assert.equal(job.components, undefined);
    const het = await dataset.schedule(
      ["-o", "out", "sbatch", "-n1", ":", "-n2", "write.sh", "out"],
    );
    const { job: leader } = await toolPart(dataset);
    assert.deepEqual([leader.name, leader.components], ["write.sh", 2]);
    await jobsAreOver([het]);
    assert.equal((await dataset.tool(["finish"])).code, 8);
    await checkDataset(dataset, {
      base,
      open: [wrapped],
      finished: { [het]: written(het, ["out"]) },
    });
  },
  "a heterogeneous job that fails or is cancelled is told of with its components": async () => {
    await using dataset = await TestDataset.make();
    const submit = (...words: string[]) =>
      dataset.schedule(["-o", crypto.randomUUID(), "sbatch", "-n1", ":", "-n1", ...words]);
    const failed = await submit("fail.sh", "out");
    const cancelled = await submit("--begin=now+1hour", "write.sh", "out");
    await slurm("scancel", cancelled);
    await jobsAreOver([failed, cancelled]);
    const finish = await dataset.tool(["finish"]);
    assert.equal(finish.code, 1);
    assert.match(finish.stdout, new RegExp(`^Job ${failed}: Failed, left open$`, "m"));
    assert.match(finish.stdout, new RegExp(`^Job ${cancelled}: Cancelled, left open$`, "m"));
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    for (const [id, state] of [[failed, "Failed"], [cancelled, "Cancelled"]]) {
      assert.match(await dataset.succeed(["show", `${id}`]), new RegExp(`^State +${state}`, "m"));
    }
    const { accounting } = await toolPart(dataset, `HEAD^{/job ${failed}: Failed}`);
    assert.deepEqual(Object.keys(accounting.components), ["0", "1"]);
    assert.equal(accounting.components[0].exit_code, 3);
  },
  "a job that a batch script submits is not ours": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("outer.sh", "#!/bin/sh\nsbatch -H --wrap true\necho done >out\n");
    const base = await dataset.commit("Outer");
    const id = await dataset.schedule(["-o", "out", "sbatch", "outer.sh"]);
    await jobsAreOver([id]);
    const [, inner = ""] = await jobsSubmittedBelow(dataset.root);
    await dataset.succeed(["finish"]);
    const log = await dataset.git("show", `HEAD:slurm-${id}.out`);
    assert.equal(log, `Submitted batch job ${inner}`);
    assert.equal((await dataset.tool(["status"])).stdout, "No open jobs\n");
    assert.equal(await dataset.git("rev-list", "--count", `${base}..HEAD`), "2");
  },
  "a job is found again where sbatch timed out, or was killed": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const env = await wrapSbatch(
      dataset,
      `case $1 in killed) shift; $real -Q "$@"; kill -KILL $$ ;; esac\n` +
        // slurmctld accepts the job after sbatch has given up.
        `case $1 in late) shift; (sleep 1; exec $real -Q "$@") & ;; *) $real -Q "$@" ;; esac\n` +
        `${TIMED_OUT}\nexit 1`,
    );
    const ids: string[] = [];
    for (const how of ["", "late", "killed"]) {
      ids.push(await dataset.schedule(["-o", `out${how}`, `sbatch ${how} -H write.sh`], { env }));
    }
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), ids);
    await checkDataset(dataset, { base, open: ids });
  },
  "after a time-out without a trace of the job it is in doubt, and never submitted again":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      const env = await wrapSbatch(dataset, `${TIMED_OUT}\nexit 1`);
      const command = ["schedule", "-o", "out", "sbatch", "-H", "write.sh", "out"];
      const { code, stderr } = await dataset.tool(command, { env });
      assert.equal(code, 3);
      assert.match(stderr, /^Error: It is not known whether a job was submitted$/m);
      assert.match(stderr, /Socket timed out/);
      const doubtful = await dataset.tool(["recover"]);
      assert.equal(doubtful.code, 1);
      assert.match(doubtful.stderr, /in doubt whether this command submitted a job/);
      // The output is not given to another job meanwhile.
      assert.equal((await dataset.tool(command)).code, 1);
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), []);
      // Long after that, and with no such job in queue and accounting, nothing was submitted.
      const [token = ""] = [...Deno.readDirSync(`${dataset.root}/.git/datalad-slurm/journal`)]
        .map(({ name }) => name);
      await dataset.run([
        "touch",
        "-d",
        "10 minutes ago",
        `${dataset.root}/.git/datalad-slurm/journal/${token}/stderr`,
      ]);
      assert.equal((await dataset.tool(["recover"])).code, 0);
      const id = jobIdIn(await dataset.succeed(command));
      await checkDataset(dataset, { base, open: [id] });
    },
  "variables that change what Slurm's programs do and print are no obstacle": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const env = {
      SBATCH_ARRAY_INX: "3,5",
      SBATCH_CLUSTERS: "test",
      SBATCH_ERROR: "log/%A_%a.err",
      SBATCH_OUTPUT: "log/%A_%a.out",
      SBATCH_WAIT: "1",
      SACCT_FORMAT: "jobid",
      SLURM_BITSTR_LEN: "1",
      SLURM_CLUSTERS: "test",
      SLURM_EXIT_ERROR: "77",
      SLURM_TIME_FORMAT: "relative",
      SQUEUE_FORMAT: "%u",
      SQUEUE_STATES: "FAILED",
      SCONTROL_FUTURE: "1",
    };
    await dataset.write("log/.keep", "");
    const started = await dataset.commit("Logs");
    const id = await dataset.schedule(["-o", "out", "sbatch", "array.sh", "out"], { env });
    const { job, cluster } = await toolPart(dataset);
    assert.deepEqual([job.array, cluster], ["3,5", "test"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"], { env });
    const files = await dataset.git("show", "--format=", "--name-only", "HEAD");
    assert.deepEqual(files.split("\n"), [
      `log/${id}_3.err`,
      `log/${id}_3.out`,
      `log/${id}_5.err`,
      `log/${id}_5.out`,
      `log/slurm-job-${id}-test.env.json`,
      "out/3",
      "out/5",
    ]);
    const refused = await dataset.tool(
      ["schedule", "-o", "b", "sbatch", "-p", "nowhere", "write.sh"],
      { env },
    );
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /Exit code: 77/);
    assert.equal(await dataset.git("rev-list", "--count", `${base}..${started}`), "1");
  },
});
