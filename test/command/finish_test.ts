import assert from "node:assert/strict";
import { isThere } from "../../lib/files.ts";
import { checkDataset, type Content, environmentOf, logs, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetKind, letGo, TestDataset, whenBranchMoves } from "../support/dataset.ts";
import { jobIs, jobsAreOver, slurm, until, useCluster } from "../support/real_slurm.ts";

useCluster();

/** Returns what the finish commit of a job that ran `fail.sh` in the root holds. */
function failed(id: string, file: string): Record<string, Content> {
  return {
    [file]: `half of ${file}\n`,
    [`slurm-${id}.out`]: "going to fail\n",
    [`slurm-job-${id}.env.json`]: environmentOf(id, "FAILED"),
  };
}

concurrently(false, {
  // git commit reads HEAD and the index before it locks: out of step it would delete the files.
  "whoever sees the finish commit finds its files in the index": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    const seen = `${dataset.scratch.directory}/seen`;
    await whenBranchMoves(
      dataset,
      "committed",
      `{ git log -1 --format=%s; git diff --cached --name-status HEAD; } >'${seen}'`,
    );
    await dataset.succeed(["finish"]);
    assert.match(await Deno.readTextFile(seen), /^\[DATALAD FINISH\] .*: Complete\n$/);
  },
  "a finish that git does not let move the branch leaves the index as it was": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    await dataset.write("mine", "mine");
    await dataset.git("add", "mine");
    const before = await dataset.git("ls-files", "-s");
    const hook = await whenBranchMoves(dataset, "prepared", "exit 1");
    assert.equal((await dataset.tool(["finish"])).code, 3);
    assert.equal(await dataset.git("ls-files", "-s"), before);
    await Deno.remove(hook);
    await dataset.git("rm", "-q", "--cached", "mine");
    await dataset.succeed(["finish"]);
    await Deno.remove(`${dataset.root}/mine`);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "a pending job is left open, with exit code 8": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
    const { code, stdout } = await dataset.tool(["finish"]);
    assert.equal(stdout, `Job ${id}: Pending (JobHeldUser), left open\n`);
    assert.equal(code, 8);
    await checkDataset(dataset, { base, open: [id] });
  },
  "a running job is left open with exit code 8, and finished when it is over": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const pipe = await dataset.pipe("pipe");
    const id = await dataset.schedule(["-o", "out", "sbatch", "wait.sh", pipe, "out"]);
    await jobIs(id, "RUNNING");
    await until("sacct says so too", async () => {
      return (await slurm("sacct", "-nXPj", id, "-o", "State")).trim() === "RUNNING";
    });
    const { code, stdout } = await dataset.tool(["finish"]);
    assert.equal(stdout, `Job ${id}: Running, left open\n`);
    assert.equal(code, 8);
    await letGo(pipe, "told");
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          out: "told\n",
          ...logs(id),
        },
      },
    });
  },
  "a failed job is left open with exit code 1 and a hint": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "fail.sh", "out"]);
    await jobsAreOver([id]);
    const { code, stdout, stderr } = await dataset.tool(["finish"]);
    assert.equal(stdout, `Job ${id}: Failed (exit code 3), left open\n`);
    assert.match(stderr, new RegExp(`^Job ${id}: Its log is "slurm-${id}.out"$`, "m"));
    assert.match(stderr, /--commit-failed-jobs .*--close-failed-jobs/);
    assert.equal(code, 1);
    assert.match(await dataset.succeed(["show", id]), new RegExp(`^Logs +slurm-${id}.out$`, "m"));
    await checkDataset(dataset, { base, open: [id], status: ["?? out", `?? slurm-${id}.out`] });
  },
  "--close-failed-jobs records a failed job without its files": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "fail.sh", "out"]);
    await jobsAreOver([id]);
    const { stdout, stderr } = await dataset.tool(["finish", "--close-failed-jobs"]);
    assert.match(stdout, new RegExp(`^Job ${id}: Failed, closed without outputs as `));
    assert.equal(
      stderr,
      "Hint: The log of what was closed stays untracked; " +
        `remove with: git clean -f -- slurm-${id}.out\n`,
    );
    const log = await dataset.succeed(["log", "out"]);
    assert.match(log, / Failed, closed without outputs {2}/);
    assert.doesNotMatch(log, /unchanged/);
    assert.equal(
      await dataset.git("log", "-1", "--format=%s"),
      `[DATALAD FINISH] Processed batch job ${id}: Failed`,
    );
    await checkDataset(dataset, {
      base,
      finished: { [id]: {} },
      status: ["?? out", `?? slurm-${id}.out`],
    });
  },
  "the logs of closed jobs that stay untracked are told, and how just they go": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("tracked.log", "before\n");
    await dataset.write(".gitignore", "*.ignored\n");
    await dataset.write("logs/other", "before\n");
    const base = await dataset.commit("A log");
    await dataset.write("logs/it's a", "mine\n");
    const logs = ["tracked.log", "x.ignored", "logs/it's [a]", "-b", "shared.log", "shared.log"];
    const ids: string[] = [];
    for (const [index, log] of logs.entries()) {
      const hold = index === logs.length - 1 ? ["--hold"] : [];
      const submit = ["sbatch", ...hold, `--output=${dataset.root}/${log}`, "fail.sh"];
      ids.push(await dataset.schedule(["-o", `out${index}`, ...submit, `out${index}`]));
    }
    const [held = ""] = ids.splice(-1);
    await jobsAreOver(ids);
    const { stderr } = await dataset.tool(["finish", "--close-failed-jobs"], { in: "logs" });
    const [, command] = /^Hint: 2 logs .* remove with: (git -C .*)$/m.exec(stderr) ?? [];
    await dataset.run(["sh", "-c", command ?? ""], { in: "logs" });
    const outputs = ids.map((_, index) => `?? out${index}`);
    await checkDataset(dataset, {
      base,
      open: [held],
      finished: Object.fromEntries(ids.map((id) => [id, {}])),
      status: [" M tracked.log", "?? logs/it's a", "?? shared.log", ...outputs],
    });
  },
  "so are those in a subdataset and outside the dataset": async () => {
    await using dataset = await TestDataset.make();
    const sub = dataset.at(`${dataset.root}/sub`);
    await dataset.git("init", "-q", "sub");
    await sub.write("file", "here\n");
    await sub.commit("A file");
    await dataset.git("submodule", "--quiet", "add", "./sub", "sub");
    await dataset.commit("A subdataset");
    const alt = `${dataset.scratch.directory}/parallel`;
    const below = ["sbatch", `--output=${sub.root}/a log`, "fail.sh", "a"];
    const ids = [
      await dataset.schedule(["-o", "a", ...below]),
      await dataset.schedule(["--alt-dir", alt, "-o", "b", "sbatch", "fail.sh", "b"]),
    ];
    await jobsAreOver(ids);
    const there = () => [sub.root, alt].map((path) => [...Deno.readDirSync(path)].length);
    const before = there();
    assert.match((await dataset.tool(["finish"])).stderr, new RegExp(`log is "${alt}/slurm-`));
    const { stderr } = await dataset.tool(["finish", "--close-failed-jobs"]);
    const [, command] = /^Hint: 2 logs .* remove with: (git -C sub .*)$/m.exec(stderr) ?? [];
    await dataset.run(["sh", "-c", command ?? ""]);
    assert.deepEqual(there(), before.map((count) => count - 1));
  },
  "--commit-failed-jobs commits what a failed job left": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "fail.sh", "out"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    await checkDataset(dataset, { base, finished: { [id]: failed(id, "out") } });
  },
  "--close-failed-jobs leaves pending jobs alone and finishes complete ones": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const bad = await dataset.schedule(["-o", "bad", "sbatch", "fail.sh", "bad"]);
    const good = await dataset.schedule(["-o", "good", "sbatch", "write.sh", "good"]);
    const held = await dataset.schedule(["-o", "held", "sbatch", "-H", "write.sh", "held"]);
    await jobsAreOver([bad, good]);
    assert.equal((await dataset.tool(["finish", "--close-failed-jobs"])).code, 8);
    await checkDataset(dataset, {
      base,
      open: [held],
      finished: { [bad]: {}, [good]: written(good, ["good"]) },
      status: ["?? bad", `?? slurm-${bad}.out`],
    });
  },
  "a cancelled job counts as failed and is named by its state": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const held = await dataset.schedule(["-o", "a", "sbatch", "-H", "write.sh", "a"]);
    const pipe = await dataset.pipe("pipe");
    const running = await dataset.schedule(["-o", "b", "sbatch", "wait.sh", pipe, "b"]);
    await jobIs(running, "RUNNING");
    await slurm("scancel", held, running);
    await jobsAreOver([held, running]);
    const { code, stdout } = await dataset.tool(["finish"]);
    assert.match(stdout, new RegExp(`^Job ${held}: Cancelled`, "m"));
    assert.match(stdout, new RegExp(`^Job ${running}: Cancelled`, "m"));
    assert.equal(code, 1);
    const { stderr } = await dataset.tool(["finish", "--commit-failed-jobs", held, running]);
    assert.match(stderr, /It has not made its declared output "a"/);
    assert.equal(
      await dataset.git("log", "-1", "--format=%s"),
      `[DATALAD FINISH] Processed batch job ${running}: Cancelled`,
    );
    const log = await Deno.readTextFile(`${dataset.root}/slurm-${running}.out`);
    await checkDataset(dataset, {
      base,
      finished: {
        [held]: { [`slurm-job-${held}.env.json`]: environmentOf(held, "CANCELLED") },
        [running]: {
          [`slurm-${running}.out`]: log,
          [`slurm-job-${running}.env.json`]: environmentOf(running, "CANCELLED"),
        },
      },
    });
  },
  "a complete array is one commit with all tasks' outputs and logs": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      "-o",
      "out",
      "sbatch",
      "--array=0,2-4:2",
      "array.sh",
      "out",
    ]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: arrayFiles(id, [0, 2, 4]) } });
  },
  "an array with a failed task is a failed job": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      "-o",
      "out",
      "sbatch",
      "--array=1-3",
      "array.sh",
      "out",
      "2",
    ]);
    await jobsAreOver([id]);
    const { code, stdout } = await dataset.tool(["finish"]);
    assert.match(stdout, new RegExp(`^Job ${id}: Failed.*left open`));
    assert.equal(code, 1);
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    await checkDataset(dataset, { base, finished: { [id]: arrayFiles(id, [1, 2, 3], "FAILED") } });
  },
  "an array with a pending task is left open, though the others are complete": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      "-o",
      "out",
      "sbatch",
      "-H",
      "--array=1-3",
      "array.sh",
      "out",
    ]);
    await slurm("scontrol", "release", `${id}_1`, `${id}_3`);
    await jobIs(`${id}_1`, "COMPLETED");
    await jobIs(`${id}_3`, "COMPLETED");
    const { code, stdout } = await dataset.tool(["finish"]);
    assert.match(stdout, new RegExp(`^Job ${id}: Pending .*left open`));
    assert.equal(code, 8);
    const status = await dataset.succeed(["status"]);
    assert.match(status, /Pending \(.*2 of 3 Complete.*\)|Pending \(.*1 of 3 Pending.*\)/);
    await slurm("scontrol", "release", `${id}_2`);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: arrayFiles(id, [1, 2, 3]) } });
  },
  "jobs are chosen by id, commit, --since, and several of them": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const ids: string[] = [];
    const commits: string[] = [];
    for (const name of ["a", "b", "c", "d"]) {
      ids.push(await dataset.schedule(["-o", name, "sbatch", "write.sh", name]));
      commits.push(await dataset.git("rev-parse", "HEAD"));
    }
    const [a = "", b = "", c = "", d = ""] = ids;
    await jobsAreOver(ids);
    await dataset.succeed(["finish", b]);
    assert.match(await dataset.git("log", "-1", "--format=%s"), new RegExp(` ${b}: Complete`));
    await dataset.succeed(["finish", `--since=${commits[2]}`]);
    assert.match(await dataset.git("log", "-1", "--format=%s"), new RegExp(` ${d}: Complete`));
    await dataset.succeed(["finish", (commits[0] ?? "").slice(0, 9), c, "-m", "Both of them"]);
    assert.match(await dataset.git("log", "-1", "--format=%B"), /\n\nBoth of them\n\n=== Do not/);
    assert.equal((await dataset.tool(["finish"])).stderr, "No open jobs\n");
    await checkDataset(dataset, {
      base,
      finished: {
        [a]: written(a, ["a"]),
        [b]: written(b, ["b"]),
        [c]: written(c, ["c"]),
        [d]: written(d, ["d"]),
      },
    });
  },
  "a target that is not open is told why, and the others are finished": async () => {
    await using dataset = await TestDataset.make();
    const first = await dataset.git("rev-parse", "HEAD");
    const done = await dataset.schedule(["-o", "a", "sbatch", "write.sh", "a"]);
    await jobsAreOver([done]);
    await dataset.succeed(["finish"]);
    const finish = await dataset.git("rev-parse", "--short=10", "HEAD");
    await dataset.git("checkout", "-q", "-b", "side");
    const aside = await dataset.schedule(["-o", "b", "sbatch", "-H", "write.sh", "b"]);
    const asideCommit = await dataset.git("rev-parse", "HEAD");
    await dataset.git("checkout", "-q", "main");
    const open = await dataset.schedule(["-o", "c", "sbatch", "write.sh", "c"]);
    await jobsAreOver([open]);
    const targets: [string, RegExp][] = [
      [done, new RegExp(`Job ${done} is finished already, in commit ${finish}`)],
      ["HEAD~1", new RegExp(`Job ${done} is finished already, in commit ${finish}`)],
      [aside, new RegExp(`Job ${aside} belongs to another branch: .*${asideCommit.slice(0, 10)}`)],
      [asideCommit, new RegExp(`Job ${aside} belongs to another branch`)],
      ["99999999", /No job 99999999 is recorded in this dataset/],
      [first, new RegExp(`Commit ${first.slice(0, 10)} records no job`)],
      ["nonsense", /"nonsense" is neither a commit nor the id of a job/],
      ["--help-me", /There is no option "--help-me"/],
    ];
    for (const [target, reason] of targets) {
      const { code, stderr } = await dataset.tool(["finish", target]);
      assert.match(stderr, reason);
      assert.equal(code, target.startsWith("--") ? 2 : 1);
    }
    const since = await dataset.tool(["finish", "--since", "HEAD", open]);
    assert.match(since.stderr, /but not after the commit given with --since/);
    const { code, stdout } = await dataset.tool(["finish", "99999999", open]);
    assert.match(stdout, new RegExp(`^Job ${open}: Complete, committed as `));
    assert.equal(code, 1);
    const status = await dataset.tool(["status", "99999999"]);
    assert.equal(status.code, 1);
  },
  "a job of another clone is left open there, unless the user says otherwise": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    await dataset.git("clone", "-q", dataset.root, `${dataset.scratch.directory}/clone`);
    const inClone = { cwd: `${dataset.scratch.directory}/clone` };
    const { code, stdout } = await dataset.tool(["finish"], inClone);
    assert.equal(stdout, `Job ${id}: submitted from another clone, left open\n`);
    assert.equal(code, 0);
    assert.match(await dataset.succeed(["status"], inClone), /in another clone/);
    const other = await dataset.tool(["finish", "--other-clones"], inClone);
    assert.match(other.stderr, /It has not made its declared output "out"/);
    assert.equal(other.code, 0);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "outputs that are missing, ignored or deleted are reported, and the rest is committed":
    async () => {
      await using dataset = await TestDataset.make();
      await dataset.write("out/gone", "here today\n");
      await dataset.write(".gitignore", "*.tmp\n");
      const base = await dataset.commit("Base");
      const command = "rm out/gone; echo x >out/x; echo y >out/y.tmp";
      const id = await dataset.schedule(["-o", "out", "-o", "never", "sbatch", "--wrap", command]);
      await jobsAreOver([id]);
      const { code, stderr } = await dataset.tool(["finish"]);
      assert.match(stderr, /Warning: Job \d+: It has not made its declared output "never"/);
      assert.match(await dataset.succeed(["log"]), / Complete, 1 missing {2}/);
      assert.match(stderr, /"out\/y\.tmp" is ignored by git and was not committed/);
      assert.match(stderr, /"out\/gone" was deleted by the job/);
      assert.equal(code, 0);
      await checkDataset(dataset, {
        base,
        finished: {
          [id]: {
            "out/x": "x\n",
            "out/gone": null,
            ...logs(id),
          },
        },
      });
    },
  "a deleted file that a glob of outputs does not match is none of the job's": async () => {
    await using dataset = await TestDataset.make();
    for (const path of ["gd/.keep", "gd/gone", "out/x"]) await dataset.write(path, `${path}\n`);
    const base = await dataset.commit("Base");
    const command = "rm gd/* gd/.keep out/x; echo new >gd/new; echo >outbx";
    const outputs = ["-o", "gd/*", "-o", "out[!a]x"];
    const id = await dataset.schedule([...outputs, "sbatch", "--wrap", command]);
    await jobsAreOver([id]);
    const { stderr } = await dataset.tool(["finish"]);
    assert.deepEqual(stderr.match(/".*" was deleted/g), ['"gd/gone" was deleted']);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "gd/gone": null,
          "gd/new": "new\n",
          "outbx": "\n",
          ...logs(id),
        },
      },
      status: [" D gd/.keep", " D out/x"],
    });
  },
  "what the user has staged, changed or put there stays as it is, and out of the commit":
    async () => {
      await using dataset = await TestDataset.make({ kind: "text2git" });
      await dataset.write("out/kept", "kept\n");
      const base = await dataset.commit("Base");
      const id = await dataset.schedule(["-o", "out/new", "sbatch", "write.sh", "out/new"]);
      await jobsAreOver([id]);
      await dataset.write("staged", "staged\n");
      await dataset.git("add", "staged");
      await dataset.write("staged", "changed since\n");
      await dataset.write("out/kept", "changed\n");
      await dataset.write("untracked", "untracked\n");
      await dataset.git("rm", "-q", "--cached", "fail.sh");
      await dataset.succeed(["finish"]);
      assert.equal(await dataset.git("show", ":staged"), "staged");
      await checkDataset(dataset, {
        base,
        finished: { [id]: written(id, ["out/new"]) },
        status: ["AM staged", " M out/kept", "?? untracked", "D  fail.sh", "?? fail.sh"],
      });
    },
  "logs are found where sbatch was told to put them": async () => {
    await using dataset = await TestDataset.make();
    await Deno.mkdir(`${dataset.root}/logs`);
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      "-o",
      "out",
      "sbatch",
      "--output=logs/%x-%j.out",
      "--error=logs/%5j.err",
      "--job-name=my job",
      "write.sh",
      "out",
    ]);
    await jobsAreOver([id]);
    const { stderr } = await dataset.tool(["finish"]);
    assert.equal(stderr, "");
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          out: "result of out\n",
          [`logs/my job-${id}.out`]: "wrote out\n",
          [`logs/${id.padStart(5, "0")}.err`]: "",
          [`logs/slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
  },
  "a job's log in another job's output directory is the former's": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("dir/base", "base\n");
    const base = await dataset.commit("Base");
    const outer = await dataset.schedule(["-o", "dir", "sbatch", "write.sh", "dir/a"]);
    const pipe = await dataset.pipe("pipe");
    const inner = await dataset.schedule([
      "-o",
      "b",
      "sbatch",
      "-o",
      "dir/%j.log",
      "wait.sh",
      pipe,
      "b",
    ]);
    await jobsAreOver([outer]);
    await jobIs(inner, "RUNNING");
    assert.equal((await dataset.tool(["finish"])).code, 8);
    await letGo(pipe);
    await jobsAreOver([inner]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [outer]: written(outer, ["dir/a"]),
        [inner]: {
          b: "go\n",
          [`dir/${inner}.log`]: "",
          [`dir/slurm-job-${inner}.env.json`]: environmentOf(inner),
        },
      },
    });
  },
  "the whole dataset may be the output": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", ".", "sbatch", "write.sh", "a/b", "c"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["a/b", "c"]) } });
  },
  "a finish makes no commit while HEAD is elsewhere than the job's branch": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await dataset.git("checkout", "-q", "-b", "side", base);
    await jobsAreOver([id]);
    assert.equal((await dataset.tool(["finish"])).stderr, "No open jobs\n");
    assert.equal(await dataset.git("rev-parse", "side"), base);
  },
  "finish --json prints one line for each job and target": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    const held = await dataset.schedule(["-o", "held", "sbatch", "-H", "write.sh", "held"]);
    await jobsAreOver([id]);
    const { code, stdout } = await dataset.tool(["finish", "--json", id, held, "none"]);
    assert.equal(code, 1);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map((
        { action, status, slurm_job_id, target },
      ) => [action, status, slurm_job_id ?? target]),
      [["finish", "ok", id], ["finish", "notneeded", held], ["finish", "impossible", "none"]],
    );
    assert.equal(lines[0].commit, await dataset.git("rev-parse", "HEAD"));
  },
});

function arrayFiles(id: string, tasks: number[], state = "COMPLETED"): Record<string, Content> {
  return {
    ...Object.fromEntries(tasks.map((task) => [`out/${task}`, `task ${task}\n`])),
    ...Object.fromEntries(tasks.map((task) => [`slurm-${id}_${task}.out`, ""])),
    [`slurm-job-${id}.env.json`]: environmentOf(id, state),
  };
}

const kinds: readonly DatasetKind[] = ["git", "annex", "text2git"];

concurrently(
  false,
  Object.fromEntries(kinds.flatMap((kind) => [
    [`files and directories of all kinds are taken as they are: ${kind}`, async () => {
      await using dataset = await TestDataset.make({ kind });
      const names = [
        "file-to-directory",
        "directory-to-file/x",
        "file-to-link",
        "becomes-executable",
      ];
      for (const name of [...names, "keep", "gone"]) {
        await dataset.write(`out/${name}`, `${name}\n`);
      }
      await Deno.symlink("keep", `${dataset.root}/out/link-to-file`);
      await dataset.write(".gitignore", "*.tmp\n");
      if (kind !== "git") await dataset.git("annex", "add", "-q", ".");
      const base = await dataset.commit("Base");
      const id = await dataset.schedule(["-o", "out", "sbatch", "shapes.sh", "out"]);
      await jobsAreOver([id]);
      const { code, stderr } = await dataset.tool(["finish"]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /"out\/pipe" was not committed: /);
      assert.match(stderr, /"out\/socket" was not committed: /);
      await checkDataset(dataset, {
        base,
        finished: {
          [id]: {
            "out/file-to-directory": null,
            "out/file-to-directory/inner": "inner\n",
            "out/directory-to-file/x": null,
            "out/directory-to-file": "flat\n",
            "out/file-to-link": { link: "keep" },
            "out/link-to-file": "plain\n",
            // A locked annexed file is a link, which knows no such bit.
            ...(kind === "annex"
              ? {}
              : { "out/becomes-executable": { executable: "becomes-executable\n" } }),
            "out/tool": { executable: "#!/bin/sh\n" },
            "out/dangling": { link: "../nowhere" },
            "out/empty": "",
            "out/deep/er/est/file": "deep\n",
            "out/gone": null,
            ...logs(id),
          },
        },
      });
    }],
    [`an output is changed again by the next job: ${kind}`, async () => {
      await using dataset = await TestDataset.make({ kind });
      const base = await dataset.git("rev-parse", "HEAD");
      const ids: string[] = [];
      for (const word of ["one", "two"]) {
        const id = await dataset.schedule(["-o", "out", "sbatch", "--wrap", `echo ${word} >>out`]);
        await jobsAreOver([id]);
        await dataset.succeed(["finish"]);
        ids.push(id);
      }
      const [one = "", two = ""] = ids;
      const files = (id: string, content: string) => ({
        out: content,
        ...logs(id),
      });
      await checkDataset(dataset, {
        base,
        finished: { [one]: files(one, "one\n"), [two]: files(two, "one\ntwo\n") },
      });
    }],
  ])),
);

concurrently(false, {
  "annex.largefiles decides what goes to the annex": async () => {
    await using dataset = await TestDataset.make({ kind: "text2git" });
    const command = "echo text >out.txt; head -c 1000 /dev/zero >out.bin";
    const id = await dataset.schedule([
      "-o",
      "out.txt",
      "-o",
      "out.bin",
      "sbatch",
      "--wrap",
      command,
    ]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    assert.equal(await dataset.git("annex", "find", "--include=*"), "out.bin");
    assert.equal(await dataset.git("show", "HEAD:out.txt"), "text");
  },
  "finish -o takes nothing that another open job holds": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("out/d", "old\n");
    const base = await dataset.commit("Old");
    const open = await dataset.schedule(
      ["-o", "out/b", "-o", "out/d", "sbatch", "-H", "write.sh", "out/b"],
    );
    const id = await dataset.schedule(
      ["-o", "out/a", "sbatch", "write.sh", "out/a", "out/c", "out/b"],
    );
    await jobsAreOver([id]);
    await Deno.remove(`${dataset.root}/out/d`);
    const refused = await dataset.tool(["finish", "-o", "out", id]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /"out" is held by another open job, by its output "out\/b"/);
    await dataset.succeed(["finish", "-o", "out/*", id]);
    const { "out/b": _, ...files } = written(id, ["out/a", "out/b", "out/c"]);
    files[`slurm-${id}.out`] = "wrote out/a\nwrote out/c\nwrote out/b\n";
    const status = [" D out/d", "?? out/b"];
    await checkDataset(dataset, { base, open: [open], finished: { [id]: files }, status });
  },
  "what a sparse checkout leaves out was not deleted by a job": async () => {
    for (const kind of ["git", "text2git"] as const) {
      await using dataset = await TestDataset.make({ kind });
      for (const path of ["out/old/x", "out/old/y", "out/z"]) await dataset.write(path, "old\n");
      const base = await dataset.commit("Old");
      await dataset.git("sparse-checkout", "set", "--no-cone", "/*", "!/out/old/");
      assert.ok(!isThere(`${dataset.root}/out/old/x`));
      const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out/a", "out/old/x"]);
      await jobsAreOver([id]);
      await Deno.remove(`${dataset.root}/out/z`);
      await dataset.succeed(["finish"]);
      const files = { ...written(id, ["out/a", "out/old/x"]), "out/z": null };
      await checkDataset(dataset, { base, finished: { [id]: files } });
    }
  },
  "what git is told not to look at is committed as well": async () => {
    for (const kind of ["git", "annex"] as const) {
      await using dataset = await TestDataset.make({ kind });
      const files = ["out/assumed", "out/skipped", "out/both", "out/plain", "out/b/new"];
      for (const file of files.slice(0, 4)) await dataset.write(file, "old\n");
      for (const link of ["out/link", "out/link-skipped"]) {
        await Deno.symlink("old", `${dataset.root}/${link}`);
      }
      const base = await dataset.commit("Old");
      const links = "ln -sf new out/link; ln -sf new out/link-skipped";
      const write = `for f in ${files.join(" ")}; do rm -f $f; echo new >$f; done`;
      const id = await dataset.schedule(
        ["-o", "out", "sbatch", "--wrap", `mkdir out/b; ${write}; ${links}`],
      );
      const assumed = ["out/assumed", "out/both", "out/link"];
      const skipped = ["out/skipped", "out/both", "out/link-skipped"];
      await dataset.git("update-index", "--assume-unchanged", ...assumed);
      await dataset.git("update-index", "--skip-worktree", ...skipped);
      await jobsAreOver([id]);
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, {
        base,
        finished: {
          [id]: {
            ...Object.fromEntries(files.map((file) => [file, "new\n"])),
            "out/link": { link: "new" },
            "out/link-skipped": { link: "new" },
            ...logs(id),
          },
        },
        skipAnnex: true,
      });
    }
  },
  "a log among another job's outputs is its own job's, finished together or closed": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    await Deno.mkdir(`${dataset.root}/out`);
    const log = ["-o", "out/%j.log"];
    const first = await dataset.schedule(["-o", "b", "sbatch", ...log, "write.sh", "b"]);
    const failed = await dataset.schedule(["-o", "c", "sbatch", ...log, "fail.sh", "c"]);
    const last = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out/a"]);
    await jobsAreOver([first, failed, last]);
    await dataset.succeed(["finish", "--close-failed-jobs"]);
    const finished = {
      [first]: {
        b: "result of b\n",
        [`out/${first}.log`]: "wrote b\n",
        [`out/slurm-job-${first}.env.json`]: environmentOf(first),
      },
      [failed]: {},
      [last]: written(last, ["out/a"]),
    };
    const status = ["?? c", `?? out/${failed}.log`];
    await checkDataset(dataset, { base, finished, status });
  },
});
