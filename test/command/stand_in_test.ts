/** The local stand-in for Slurm as a user without Slurm meets it. */
import assert from "node:assert/strict";
import { isThere } from "../../lib/files.ts";
import { AS_STAND_IN } from "../../lib/slurm/local/place.ts";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, letGo, TestDataset } from "../support/dataset.ts";
import { type LocalSlurm, startLocalSlurm } from "../support/local_slurm.ts";
import { noPseudoTerminal, runOnTerminal } from "../support/pseudo_terminal.ts";
import { until, useCluster } from "../support/real_slurm.ts";
import { linkTool } from "../support/tool.ts";
import { Working } from "../support/working.ts";

useCluster();

let standIn: LocalSlurm | undefined;
Deno.test.beforeAll(async () => {
  standIn = await startLocalSlurm();
});
Deno.test.afterAll(async () => await standIn?.release());

/** A dataset beside a stand-in, where nothing chooses it and `sbatch` refuses all jobs. */
async function onLaptop(): Promise<TestDataset> {
  const dataset = await TestDataset.make();
  const bin = `${dataset.scratch.directory}/bin`;
  await Deno.mkdir(bin);
  const refuse = "#!/bin/sh\necho 'sbatch: error: Batch job submission failed' >&2; exit 1\n";
  await Deno.writeTextFile(`${bin}/sbatch`, refuse, { mode: 0o755 });
  Object.assign(dataset.env, {
    PATH: `${bin}:${dataset.env["PATH"]}`,
    DATALAD_SLURM: "",
    DATALAD_SLURM_LOCAL_DIR: standIn?.env["DATALAD_SLURM_LOCAL_DIR"] ?? "",
  });
  return dataset;
}

/** A dataset beside a stand-in of its own, which runs four jobs at a time. */
async function withOwnStandIn(env: Readonly<Record<string, string>> = {}) {
  const own = await startLocalSlurm();
  const dataset = await TestDataset.make();
  const state = own.env["DATALAD_SLURM_LOCAL_DIR"] ?? "";
  Object.assign(dataset.env, own.env, { DATALAD_SLURM_LOCAL_JOBS: "4" }, env);
  return {
    dataset,
    state,
    /** Kills the runner, as a machine that is short of memory does. */
    async killRunner() {
      const pid = Number.parseInt(await Deno.readTextFile(`${state}/runner`));
      Deno.kill(pid, "SIGKILL");
      await until("the runner is dead", () => commandLine(pid) === "");
    },
    /** Kills a job with the shell that stays beside it. */
    async killJob(id: string) {
      const pid = Number(await Deno.readTextFile(`${state}/spool/${id}/job.pid`));
      Deno.kill(-pid, "SIGKILL");
      await until("the job is dead", () => commandLine(pid) === "");
    },
    async ended(id: string) {
      const path = `${state}/spool/${id}/job.exit`;
      await until(`job ${id} has ended`, () => Deno.readTextFile(path).then(Boolean, () => false));
    },
    async [Symbol.asyncDispose]() {
      await own.release();
      await dataset[Symbol.asyncDispose]();
    },
  };
}

/** Returns the words of a process; none of one that has ended, whether it was waited for or not. */
function commandLine(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}

/** Whether a process waits for the lock of a file. */
function waitsForLock(pid: number): boolean {
  return new RegExp(`-> FLOCK .* ${pid} `).test(Deno.readTextFileSync("/proc/locks"));
}

concurrently(false, {
  "the demonstration takes the stand-in where there is no Slurm, and shows all to the end":
    async () => {
      await using dataset = await onLaptop();
      const tool = `${dataset.scratch.directory}/datalad-slurm`;
      await linkTool(tool);
      const demo = new URL("../demo.ts", import.meta.url).pathname;
      const { stdout, stderr, code } = await dataset.run(
        [Deno.execPath(), "run", "-A", "--quiet", demo, tool],
        { env: { PATH: await dataset.pathWith({ sinfo: "exit 1" }) } },
      );
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^No Slurm cluster answers here/);
      const log = /\$ git log --oneline\n([^]*?)\n\n/.exec(stdout)?.[1] ?? "";
      assert.deepEqual(
        [...log.matchAll(/\[DATALAD (\w+)\] .*: (\w+)$/gm)].map(([, what, state]) => [what, state]),
        [
          ["FINISH", "Failed"],
          ["SCHEDULE", "Pending"],
          ["FINISH", "Complete"],
          ["RESCHEDULE", "Pending"],
          ["FINISH", "Complete"],
          ["FINISH", "Complete"],
          ["SCHEDULE", "Pending"],
          ["SCHEDULE", "Pending"],
        ],
      );
      const left = /The dataset is (.*)$/m.exec(stdout)?.[1] ?? "";
      assert.match(await Deno.readTextFile(`${left}/summary.txt`), /^ +3 +18 +/);
    },
  "when the runner is killed, the next command takes all jobs over as they are": async () => {
    await using standIn = await withOwnStandIn();
    const { dataset } = standIn;
    const submit = async (name: string, line: string) => {
      const pipe = await dataset.pipe(name);
      const wrap = `echo >${name}.runs; read word <${pipe}; ${line}`;
      const id = await dataset.schedule(["-o", name, "sbatch", "--wrap", wrap]);
      return { id, pipe, name };
    };
    const done = await submit("done", "echo result >done");
    const failed = await submit("failed", "exit 3");
    const lost = await submit("lost", "true");
    const alive = await submit("alive", "echo result >alive");
    const waiting = await submit("waiting", "echo result >waiting");
    for (const { name } of [done, failed, lost, alive]) {
      await until(
        `${name} runs`,
        () => Deno.stat(`${dataset.root}/${name}.runs`).then(() => true, () => false),
      );
    }
    await standIn.killRunner();
    for (const job of [done, failed]) {
      await letGo(job.pipe);
      await standIn.ended(job.id);
    }
    await standIn.killJob(lost.id);

    const status = await dataset.succeed(["status"]);
    assert.match(status, new RegExp(` ${done.id} +Complete `));
    assert.match(status, new RegExp(` ${failed.id} +Failed \\(exit code 3\\) `));
    assert.match(status, new RegExp(` ${lost.id} +Node fail `));
    assert.match(status, new RegExp(` ${alive.id} +Running `));
    assert.match(status, new RegExp(` ${waiting.id} +(?:Pending|Running) `));
    const cancelled = await dataset.run(["scancel", done.id]);
    assert.equal(cancelled.code, 0);
    for (const job of [alive, waiting]) await letGo(job.pipe);
    const finished = await dataset.tool(["finish", "--wait", "--close-failed-jobs"]);
    for (const job of [done, alive, waiting]) {
      assert.match(finished.stdout, new RegExp(`^Job ${job.id}: Complete, committed`, "m"));
      assert.equal(await dataset.git("show", `HEAD:${job.name}`), "result");
    }
    assert.match(finished.stdout, new RegExp(`^Job ${lost.id}: Node fail, closed`, "m"));
    const log = await Deno.readTextFile(`${dataset.root}/slurm-${lost.id}.out`);
    assert.match(log, /^slurmstepd: error: \*\*\* JOB \d+ ON \S+ .* DUE TO NODE FAILURE \*\*\*$/m);
  },
  "a job that is cancelled before it begins is neither started nor waited for": async () => {
    await using standIn = await withOwnStandIn({ DATALAD_SLURM_LOCAL_JOBS: "1" });
    const { dataset, state } = standIn;
    const pipe = await dataset.pipe("first");
    const submit = async (...words: string[]) => {
      const { stdout } = await dataset.run(["sbatch", "--parsable", ...words]);
      return stdout.trim();
    };
    await submit("--wrap", `echo >begun; read word <${pipe}`);
    const cancelled = await submit("--wrap", "echo >cancelled");
    await submit("--wrap", "echo >last");
    await until("the first one runs", () => isThere(`${dataset.root}/begun`));
    const later = await submit("--begin=now+1hour", "--wrap", "true");
    assert.equal((await dataset.run(["scancel", cancelled, later])).code, 0);
    await letGo(pipe);
    // Nobody asks meanwhile: the runner that is there goes on by itself, and ends.
    await until("the last one has run", () => isThere(`${dataset.root}/last`));
    await until("the runner is gone", () => {
      using runner = Deno.openSync(`${state}/runner`, { write: true });
      return runner.tryLockSync(true);
    });
    // Its process may be there for a while, and is not to be taken for one that starts.
    assert.equal(await Deno.readTextFile(`${state}/runner`), "");
    assert.ok(!isThere(`${dataset.root}/cancelled`));
  },
  "a runner is not turned away by somebody who looks for one just then": async () => {
    await using standIn = await withOwnStandIn({ DATALAD_SLURM_LOCAL_JOBS: "1" });
    const { dataset, state } = standIn;
    const pipe = await dataset.pipe("first");
    await dataset.run(["sbatch", "--wrap", `echo >begun; read word <${pipe}`]);
    await dataset.run(["sbatch", "--wrap", "echo >second"]);
    await until("the first one runs", () => isThere(`${dataset.root}/begun`));
    await standIn.killRunner();
    const locks = ["lock", "runner"].map((name) =>
      Deno.openSync(`${state}/${name}`, { write: true })
    );
    for (const lock of locks) lock.lockSync(true);
    await using runner = new Working(dataset, [`${AS_STAND_IN}runner`, state]);
    try {
      await until("the runner waits", () => waitsForLock(runner.pid));
    } finally {
      for (const lock of locks) lock.close();
    }
    await letGo(pipe);
    await until("the second one has run", () => isThere(`${dataset.root}/second`));
    assert.equal(await runner.code(), 0);
  },
  "sbatch refuses a script that is not there before anything is written": async () => {
    const dataset = await onLaptop();
    await using _ = dataset;
    const state = `${dataset.scratch.directory}/no-stand-in-yet`;
    const env = { DATALAD_SLURM_LOCAL_DIR: state, PATH: standIn?.env["PATH"] ?? "" };
    const { code, stdout, stderr } = await dataset.run(["sbatch", "missing.sh"], { env });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^sbatch: error: Unable to open file missing\.sh$/m);
    assert.ok(!isThere(state));
  },
  "a batch script runs as the bytes that it is, whatever its encoding": async () => {
    await using dataset = await onLaptop();
    const lines = '#!/bin/sh\n#SBATCH -J caf\u00e9\ncp "$0" "copy-$1"; exit\n';
    // A comment in Latin-1 and what is no text at all.
    const script = new Uint8Array([
      ...new TextEncoder().encode(lines),
      ...[0x23, 0xe9, 0x0a, 0xff, 0xfe, 0xc3, 0x80, 0x81, 0x0a],
    ]);
    await Deno.writeFile(`${dataset.root}/bytes.sh`, script);
    const marked = new Uint8Array([0xef, 0xbb, 0xbf, ...script]);
    await Deno.writeFile(`${dataset.root}/marked.sh`, marked);
    const submit = (line: string) =>
      dataset.run(["sh", "-c", line], { env: { PATH: standIn?.env["PATH"] ?? "" } });
    for (const [name, line] of [["file", "bytes.sh file"], ["", "<bytes.sh"]] as const) {
      const { code, stderr } = await submit(`sbatch --wait -o /dev/null ${line}`);
      assert.equal(code, 0, stderr);
      assert.deepEqual(await Deno.readFile(`${dataset.root}/copy-${name}`), script, line);
    }
    assert.match((await submit("squeue -h -t all -o %j")).stdout, /^caf\u00e9$/m);
    const refused = await submit("sbatch marked.sh");
    assert.match(refused.stderr, /^sbatch: error: This does not look like a batch script/);
  },
  "sbatch refuses heterogeneous jobs, on the command line and in the script": async () => {
    const dataset = await onLaptop();
    await using _ = dataset;
    await dataset.write("het.sh", "#!/bin/sh\n#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n2\ntrue\n");
    const state = `${dataset.scratch.directory}/no-stand-in-yet`;
    const env = { DATALAD_SLURM_LOCAL_DIR: state, PATH: standIn?.env["PATH"] ?? "" };
    for (const words of [["het.sh"], [":", "het.sh"], ["-n1", ":", "-n2", "het.sh"]]) {
      const { code, stdout, stderr } = await dataset.run(["sbatch", ...words], { env });
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /^sbatch: error: The local stand-in has no heterogeneous jobs$/m);
    }
    assert.ok(!isThere(state));
    // As the value of an option it is a word like any other.
    await dataset.write("named.sh", "#!/bin/sh\n#SBATCH -J hetjob --test-only\ntrue\n");
    const { stderr } = await dataset.run(["sbatch", "named.sh"], { env });
    assert.match(stderr, /^sbatch: Job \d+ to start at /m);
  },
  "what cannot be done here is refused by name, and what has no effect is named": async () => {
    await using dataset = await onLaptop();
    const path = { PATH: standIn?.env["PATH"] ?? "" };
    const submit = (words: readonly string[], env: Record<string, string> = {}) =>
      dataset.run(["sbatch", ...words], { env: { ...path, ...env } });
    const wrap = "--wrap=true";
    for (
      const [words, said, env = {}] of [
        [["--container=x", wrap], "--container is not supported by the local stand-in"],
        [["--uid=0", wrap], "--uid is not supported by the local stand-in"],
        [[wrap], "--container is not supported by the local stand-in", { SBATCH_CONTAINER: "x" }],
        [["-N2", wrap], "--nodes=2: the local stand-in has one node"],
        [["--no-such", wrap], "unrecognized option '--no-such'"],
        [["-M", "elsewhere", wrap], "No cluster 'elsewhere' known by database."],
      ] as const
    ) {
      const { code, stdout, stderr } = await submit(words, env);
      assert.notEqual(code, 0, said);
      assert.equal(stdout, "", said);
      assert.ok(stderr.includes(said), stderr);
    }
    await dataset.write("gpu.sh", "#!/bin/sh\n#SBATCH --exclusive --mail-type=END\ntrue\n");
    const taken = await submit(["-o", "log", "-n2", "-C", "fast", "gpu.sh"], {
      SBATCH_GRES: "gpu",
    });
    assert.match(taken.stdout, /^Submitted batch job \d+\n$/);
    assert.match(
      taken.stderr,
      /^sbatch: The local stand-in takes no account of --constraint, --exclusive, --gres, --mail-type$/m,
    );
    assert.doesNotMatch((await submit(["-n2", "-t5", wrap])).stderr, /takes no account/);
    const scontrol = (...words: string[]) => dataset.run(["scontrol", ...words], { env: path });
    assert.equal((await scontrol("show", "hostnames", "n[1-2],m")).stdout, "n1\nn2\nm\n");
    const requeue = await scontrol("requeue", "1");
    assert.equal(requeue.code, 1);
    assert.match(
      requeue.stderr,
      /^scontrol: error: requeue is not supported by the local stand-in$/m,
    );
  },
  "any number of sbatch and scancel at once lose no job and mix up none": async () => {
    await using standIn = await withOwnStandIn();
    const { dataset } = standIn;
    const pipes = await Promise.all(["p0", "p1", "p2", "p3"].map((name) => dataset.pipe(name)));
    const blocked = pipes.map((pipe, at) => `echo >b${at}; read word <${pipe}`);
    const submit = async (line: string, ...words: string[]) => {
      const argv = ["sbatch", "--parsable", "-o", "/dev/null", ...words, "--wrap", line];
      const { stdout } = await dataset.run(argv);
      return Number(stdout);
    };
    const first = await Promise.all(blocked.map((line) => submit(line)));
    await until(
      "all places are taken",
      () => blocked.every((_, at) => isThere(`${dataset.root}/b${at}`)),
    );
    const names = Array.from({ length: 28 }, (_, at) => `f${at}`);
    const ids = await Promise.all(names.map((name) => submit(`echo ${name} >${name}`)));
    assert.equal(new Set([...first, ...ids]).size, 32, `${ids}`);
    const cancelled = ids.filter((_, at) => at % 2 === 0);
    const [codes, late] = await Promise.all([
      Promise.all(cancelled.map((id) => dataset.run(["scancel", `${id}`]))),
      Promise.all(["l1", "l2"].map((name) => submit(`echo ${name} >${name}`))),
    ]);
    assert.deepEqual(codes.map(({ code }) => code), cancelled.map(() => 0));
    for (const pipe of pipes) await letGo(pipe);
    const kept = ids.filter((id) => !cancelled.includes(id));
    const argv = ["sacct", "-nXPj", [...first, ...ids, ...late].join(","), "-o", "JobID,State"];
    await until(
      "all jobs are over",
      async () => !/PENDING|RUNNING/.test((await dataset.run(argv)).stdout),
    );
    const states = Object.fromEntries(
      (await dataset.run(argv)).stdout.trim().split("\n").map((row) => row.split("|")),
    );
    for (const id of [...first, ...kept, ...late]) assert.equal(states[id], "COMPLETED", `${id}`);
    for (const id of cancelled) assert.match(states[id], /^CANCELLED by/, `${id}`);
    for (const [at, name] of names.entries()) {
      assert.equal(isThere(`${dataset.root}/${name}`), at % 2 === 1, name);
    }
  },
  "what the killed runner did to a job counts for the next one": async () => {
    await using standIn = await withOwnStandIn({ DATALAD_SLURM_LOCAL_MINUTE: "1" });
    const { dataset } = standIn;
    const wrap = "trap 'echo warned' USR1; trap '' TERM; echo runs; while :; do sleep 0.05; done";
    const submit = (name: string, ...words: string[]) =>
      dataset.schedule(["-o", name, "sbatch", ...words, "--wrap", wrap]);
    const late = await submit("late", "--time=2", "--signal=B:USR1@60");
    const stopped = await submit("stopped");
    const log = (id: string) => Deno.readTextFile(`${dataset.root}/slurm-${id}.out`);
    await until("it runs", async () => (await log(stopped).catch(() => "")).includes("runs"));
    await dataset.run(["scancel", stopped]);
    for (const id of [late, stopped]) {
      await until("it is stopped", async () => (await log(id).catch(() => "")).includes("***"));
    }
    await standIn.killRunner();
    for (const id of [late, stopped]) {
      // Its shell is left, which tells of its end.
      const shell = Number(await Deno.readTextFile(`${standIn.state}/spool/${id}/job.pid`));
      await dataset.run(["pkill", "-KILL", "-P", `${shell}`]);
      await standIn.ended(id);
    }
    const status = await dataset.succeed(["status"]);
    assert.match(status, new RegExp(` ${late} +Timeout `));
    assert.match(status, new RegExp(` ${stopped} +Cancelled `));
    for (const id of [late, stopped]) {
      assert.equal((await log(id)).match(/\*\*\* JOB/g)?.length, 1, "it was stopped once");
    }
    assert.equal((await log(late)).match(/^warned$/gm)?.length, 1, "it was warned once");
  },
  "whoever looks for a command that cancels jobs is told the programs that do": async () => {
    await using dataset = await onLaptop();
    const look = async (word: string, env = {}) => {
      const { code, stderr } = await dataset.tool([word, "1000000001"], { env });
      assert.equal(code, 2);
      return stderr;
    };
    const unused = { DATALAD_SLURM_LOCAL_DIR: `${dataset.scratch.directory}/unused` };
    assert.match(
      await look("scancel", unused),
      /^Error: .*\nHint: Cancel a job with: scancel JOBID; then/,
    );
    const submit = ["--slurm=local", "-o", "out", "sbatch", "--wrap", "sleep 600"];
    const id = await dataset.schedule(submit);
    const path = / one of the local stand-in with: (\S+) JOBID/.exec(await look("cancel"))?.[1];
    assert.equal((await dataset.run([path ?? "", id])).code, 0);
    assert.match((await dataset.tool(["finish", "--wait"])).stdout, /Cancelled/);
  },
  "what is said to cancel one of its jobs does so, wherever it is called": async () => {
    await using dataset = await onLaptop();
    const first = await dataset.schedule(["--slurm=local", "-o", "a", "sbatch", "--wrap", "false"]);
    await dataset.tool(["finish", "--wait"]);
    const waits = ["sbatch", `--dependency=afterok:${first}`, "--wrap", "true"];
    const id = await dataset.schedule(["--slurm=local", "-o", "b", ...waits]);
    let hint: string | undefined;
    await until("the stand-in sees that it never starts", async () => {
      const { stderr } = await dataset.tool(["status"]);
      hint = /^Hint: .* waits for ever.* Cancel it with: (.*)$/m.exec(stderr)?.[1];
      return hint !== undefined;
    });
    assert.match(`${hint}`, /^\/\S+\/scancel \d+$/);
    assert.equal((await dataset.run(["sh", "-c", hint ?? ""])).code, 0);
    assert.match((await dataset.tool(["finish", id])).stdout, /Cancelled/);
  },
  "its job is rescheduled there again, unless something else is chosen": async () => {
    await using dataset = await onLaptop();
    const submit = ["--slurm=local", "-o", "out", "sbatch", "write.sh", "out"];
    await dataset.schedule(submit);
    await dataset.succeed(["finish", "--wait"]);
    const again = await dataset.tool(["reschedule", "HEAD"]);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^Submitted batch job 10000000\d\d on cluster local@/);
    assert.match(again.stderr, /^sbatch: Job 10000000\d\d runs on this machine .* no Slurm$/m);
    assert.doesNotMatch(again.stderr, /goes to Slurm/);
    await dataset.succeed(["finish", "--wait", jobIdIn(again.stdout)]);

    const toSlurm =
      /^ {2}It ran on local@\S+, a local stand-in; now it goes to Slurm \(--slurm local/m;
    const chosen = await dataset.tool(["reschedule", "--slurm=cluster", "HEAD"]);
    assert.equal(chosen.code, 3);
    assert.match(chosen.stderr, toSlurm);
    const other = `${dataset.scratch.directory}/other`;
    await Deno.mkdir(other);
    await Deno.writeTextFile(`${other}/cluster`, "local@elsewhere\n");
    const env = { DATALAD_SLURM_LOCAL_DIR: other };
    const elsewhere = await dataset.tool(["reschedule", "HEAD"], { env });
    assert.equal(elsewhere.code, 3);
    assert.match(elsewhere.stderr, toSlurm);
    assert.match(await dataset.succeed(["reschedule", "--report", "HEAD"], { env }), toSlurm);
  },
  "a finish records the version of the Slurm that ran the job, where that is known": async () => {
    await using dataset = await onLaptop();
    const down = "exit 1";
    const path = await dataset.pathWith({
      sbatch: `case "$*" in
        --version) echo slurm 23.11.4 ;;
        *-M*) echo Submitted batch job 72 on cluster other ;;
        *) echo Submitted batch job 71 ;;
      esac`,
      sacct: down,
      squeue: down,
      scontrol: down,
    });
    Object.assign(dataset.env, { PATH: path });
    const own = await dataset.schedule(["--slurm=local", "-o", "own", "sbatch", "write.sh", "own"]);
    await dataset.schedule(["-o", "here", "sbatch", "write.sh", "here"]);
    await dataset.schedule(["-o", "there", "sbatch", "-M", "other", "write.sh", "there"]);
    await until(
      "it is over",
      () => isThere(`${dataset.env["DATALAD_SLURM_LOCAL_DIR"]}/done/${own}`),
    );
    await dataset.succeed(["finish", "--assume-state=completed", own, "71", "72"]);
    const versions: Record<string, unknown> = {};
    for (const commit of ["HEAD", "HEAD~1", "HEAD~2"]) {
      const { slurm_job_id, datalad_slurm } = await dataset.record(commit);
      versions[slurm_job_id] = datalad_slurm.accounting?.slurm_version;
    }
    assert.deepEqual(versions, { [own]: "22.05-stand-in", 71: "23.11.4", 72: undefined });
    assert.match(await dataset.succeed(["show", own]), /^Slurm +22\.05-stand-in$/m);
    assert.match(await dataset.succeed(["show", "71"]), /^Slurm +23\.11\.4$/m);
    assert.doesNotMatch(await dataset.succeed(["show", "72"]), /^Slurm /m);
  },
  "--auto-finish commits a job that completes, and leaves one that fails to be told of":
    async () => {
      await using dataset = await onLaptop();
      const base = await dataset.git("rev-parse", "HEAD");
      const submit = async (...args: string[]) => {
        const stdout = await dataset.succeed([
          "schedule",
          "--slurm=local",
          "--auto-finish",
          ...args,
        ]);
        const finisher = /^Job (\d+) will finish it$/m.exec(stdout)?.[1];
        assert(finisher !== undefined, stdout);
        return { id: jobIdIn(stdout), finisher };
      };
      const good = await submit("-o", "good", "sbatch", "write.sh", "good");
      const bad = await submit("-o", "bad", "sbatch", "fail.sh", "bad");
      await until("both finishing jobs are over", async () => {
        const { stdout } = await dataset.tool(["status"]);
        return !stdout.includes(` ${good.id} `) && (await dataset.tool(["status"])).stderr !== "";
      });
      const { stderr } = await dataset.tool(["status"]);
      assert.match(
        stderr,
        new RegExp(`^Job ${bad.id}: Its finishing job ${bad.finisher} has left it open`),
      );
      await dataset.succeed(["finish", "--close-failed-jobs"]);
      await checkDataset(dataset, {
        base,
        finished: {
          [good.id]: written(good.id, ["good"]),
          [bad.id]: {},
        },
        status: ["?? bad", `?? slurm-${bad.id}.out`],
      });
    },
});

concurrently(noPseudoTerminal, {
  "jobs go on when the session that submitted them ends": async () => {
    await using standIn = await withOwnStandIn();
    const { dataset } = standIn;
    const pipe = await dataset.pipe("pipe");
    const job = `echo >runs; read word <${pipe}; echo result >out`;
    // The kernel hangs up on what is left of a session when its leader ends.
    const ran = await runOnTerminal(
      ["sbatch", "--parsable", "-o", "log", "--wrap", job],
      { cwd: dataset.root, env: dataset.env, columns: 80, rows: 24 },
    );
    assert.equal(ran.code, 0, ran.stdout);
    await until("it runs", () => isThere(`${dataset.root}/runs`));
    await letGo(pipe);
    await until("it has ended", () => isThere(`${dataset.root}/out`));
  },
});
