import assert from "node:assert/strict";
import { quoteWord } from "../../lib/record/command.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { useCluster } from "../support/real_slurm.ts";
import { linkTool } from "../support/tool.ts";

useCluster();

const shared = [
  "schedule",
  "finish",
  "reschedule",
  "slurm-schedule",
  "slurm-finish",
  "slurm-reschedule",
];

concurrently(false, {
  "status and finish --list-open-jobs show the open jobs": async () => {
    await using dataset = await TestDataset.make();
    assert.equal(await dataset.succeed(["status"]), "No open jobs\n");
    const id = await dataset.schedule(["-o", "a", "-o", "b", "sbatch", "-H", "write.sh", "a"]);
    const commit = await dataset.git("rev-parse", "HEAD");
    const table = await dataset.succeed(["status"]);
    assert.match(table, /^COMMIT +JOB +STATE +SINCE +OUTPUTS\n/);
    assert.match(
      table,
      new RegExp(`^${commit.slice(0, 10)} +${id} +Pending \\(JobHeldUser\\) +\\S+ \\S+ +a b$`, "m"),
    );
    assert.equal(await dataset.succeed(["finish", "--list-open-jobs"]), table);
    const line = JSON.parse(await dataset.succeed(["status", "--json"]));
    assert.equal(line.slurm_job_id, id);
    assert.equal(line.commit, commit);
    assert.equal(line.state, "PENDING");
    assert.deepEqual(line.outputs, ["a", "b"]);
  },
  "all six names work": async () => {
    await using dataset = await TestDataset.make();
    for (const name of ["schedule", "slurm-schedule"]) {
      jobIdIn(await dataset.succeed([name, "-o", name, "sbatch", "-H", "write.sh", name]));
    }
    for (const name of ["finish", "slurm-finish"]) {
      assert.equal((await dataset.tool([name])).code, 8);
    }
    for (const name of ["reschedule", "slurm-reschedule"]) {
      assert.match((await dataset.tool([name, "HEAD"])).stderr, /is not finished/);
    }
  },
  "every command has help and examples; --version tells the version": async () => {
    await using dataset = await TestDataset.make();
    const general = await dataset.succeed(["--help"]);
    for (const name of [...shared, "status", "recover", "unlock"]) {
      const help = await dataset.succeed([name, "--help"]);
      assert.match(help, /^datalad-slurm \w+: .*\n\nUsage: datalad-slurm /);
      assert.match(help, /\nOptions:\n/);
      assert.match(help, /\nExamples:\n {2}datalad-slurm /);
      if (!name.startsWith("slurm-")) assert.match(general, new RegExp(`^ {2}${name} +\\S`, "m"));
    }
    assert.match(general, /datalad-slurm help guide [^]* help config,/);
    for (
      const variable of ["DATALAD_SLURM", "DATALAD_SLURM_LOCAL_DIR", "DATALAD_SLURM_LOCAL_JOBS"]
    ) {
      assert.match(
        await dataset.succeed(["help", "--man"]),
        new RegExp(`^\\\\fB${variable}\\\\fR$`, "m"),
      );
    }
    const guide = await dataset.succeed(["help", "guide"]);
    assert.match(guide, /^Working with datalad-slurm\n\nA job's life\n\n\w/);
    assert.doesNotMatch(guide, /^ {0,2}[^ ].*(?:`|\*\*|\]\()|^#/m);
    assert.match(await dataset.succeed(["--version"]), /^datalad-slurm \d+\.\d+\.\d+ /);
  },
  "--verbose tells of every program and its time on stderr": async () => {
    await using dataset = await TestDataset.make();
    const { code, stdout, stderr } = await dataset.tool(["unlock", "--verbose"]);
    assert.equal(code, 0);
    assert.equal(stdout, "Nobody holds the lock\n");
    for (const line of stderr.trimEnd().split("\n")) {
      assert.match(line, /^ *\d+ ms {2}git (?:-c \S+ )?\w/);
    }
    assert.match(stderr, / ms {2}git rev-parse --show-toplevel /);
    assert.match((await dataset.tool(["unlock", "-v", "-d", "/"])).stderr, /\(exit code 128\)$/m);
    // Whole and as the shell takes it, however long it is and whatever is in it.
    const words = Array.from({ length: 50 }, (_, index) => `word ${index} of it's many`);
    const command = ["false", ...words, "a".repeat(500), "a\nb\\'c"];
    const shown = await dataset.tool(["schedule", "-v", "-o", "out", ...command]);
    const [, line] = / ms {2}(\/bin\/sh -c .*) \(exit code 1\)$/m.exec(shown.stderr) ?? [];
    const read = await dataset.run(["bash", "-c", `printf '%s\\0' ${line}`]);
    const [shell, option, script] = read.stdout.split("\0");
    assert.deepEqual([shell, option], ["/bin/sh", "-c"], shown.stderr);
    assert(script?.endsWith(`\n${command.map(quoteWord).join(" ")}\n`), script);
    assert.equal((await dataset.tool(["unlock", "--quiet"])).stderr, "");
    const forced = await dataset.tool(["unlock", "--force", "nobody"]);
    assert.equal(forced.code, 1);
    assert.match(forced.stderr, /^Error: Nobody holds the lock by that token\nHint: .*unlock\n$/);
  },
  "a wrong command line ends with exit code 2 and a hint": async () => {
    await using dataset = await TestDataset.make();
    const wrong: [string[], RegExp][] = [
      [[], /Usage: datalad-slurm COMMAND/],
      [["shedule"], /There is no command "shedule"[^]*Hint: Perhaps schedule is meant/],
      [["status", "--jsno"], /There is no option "--jsno"[^]*Hint: Perhaps --json is meant/],
      [["status", "-z"], /There is no option "-z"/],
      [["finish", "-m"], /--message needs a value/],
      [["finish", "--json=x"], /--json takes no value/],
      [["finish", "--since", "a", "--since", "b"], /--since is given more than once/],
      [["finish", "--close-failed-jobs", "--commit-failed-jobs"], /exclude each other/],
      [["reschedule"], /No commit is named/],
      [["reschedule", "a", "b"], /reschedule takes one commit or job id, or --since/],
      [["completion", "tcsh"], /There is no completion for "tcsh"\nHint: .*: bash, zsh, fish$/m],
      [["recover", "x"], /"x" is not expected here/],
      [["status", "--lock-timeout=soon"], /--lock-timeout takes seconds/],
    ];
    for (const [args, says] of wrong) {
      const { code, stdout, stderr } = await dataset.tool(args);
      assert.match(stderr, says);
      assert.equal(code, 2, args.join(" "));
      assert.equal(stdout, "");
    }
  },
  "a link named datalad answers the six names and hands all others to the next datalad":
    async () => {
      await using dataset = await TestDataset.make();
      const [own, next] = [`${dataset.scratch.directory}/own`, `${dataset.scratch.directory}/next`];
      await Deno.mkdir(own);
      await Deno.mkdir(next);
      await linkTool(`${own}/datalad`);
      const env = { PATH: `${own}:${next}:${dataset.env["PATH"]}` };
      await Deno.writeTextFile(
        `${next}/datalad`,
        '#!/bin/sh\nread -r line\nprintf "<%s>" "$line" "$@"\nexit 42\n',
        { mode: 0o755 },
      );
      const datalad = (...args: string[]) =>
        dataset.run(["datalad", ...args], { env, stdin: "input\n" });
      assert.deepEqual(await datalad("save", "-m", "two words", "--", ""), {
        code: 42,
        stdout: "<input><save><-m><two words><--><>",
        stderr: "",
      });
      assert.equal((await datalad("status")).code, 42);
      assert.equal((await datalad("--version")).code, 42);
      for (const name of shared) {
        const { code, stdout } = await datalad(name, "--help");
        assert.equal(code, 0);
        assert.match(stdout, /^datalad-slurm \w+: /);
      }
      assert.match(
        (await datalad("schedule", "-o", "out", "sbatch", "-H", "write.sh", "out")).stdout,
        /^Submitted/,
      );
    },
  "a link named by a command is that command, and without another datalad that is said":
    async () => {
      await using dataset = await TestDataset.make();
      const own = `${dataset.scratch.directory}/own`;
      await Deno.mkdir(own);
      await linkTool(`${own}/slurm-finish`);
      assert.equal((await dataset.run([`${own}/slurm-finish`])).stderr, "No open jobs\n");
      await linkTool(`${own}/datalad`);
      const { code, stderr } = await dataset.run([`${own}/datalad`, "save"], {
        env: { PATH: own },
      });
      assert.match(stderr, /There is no other program "datalad" on PATH/);
      assert.equal(code, 3);
    },
});
