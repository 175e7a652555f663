import assert from "node:assert/strict";
import { checkDataset, checkNothingIsLeft, environmentOf, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { isThere } from "../../lib/files.ts";
import { letGo, TestDataset } from "../support/dataset.ts";
import { isOnPath } from "../support/pseudo_terminal.ts";
import { output } from "../support/scratch.ts";
import {
  jobsAreOver,
  jobsSubmittedBelow,
  noRealSlurm,
  slurm,
  until,
  useCluster,
} from "../support/real_slurm.ts";

useCluster();

/** Puts a `git` in front of PATH that kills the tool before or after git runs one command. */
async function killAt(
  dataset: TestDataset,
  command: string,
  when: "before" | "after",
): Promise<{ PATH: string }> {
  const bin = `${dataset.scratch.directory}/bin`;
  await Deno.mkdir(bin);
  const real = (await dataset.run(["which", "git"])).stdout.trim();
  const killer = `sh '${dataset.root}/kill_tool.sh'`;
  await Deno.writeTextFile(
    `${bin}/git`,
    [
      "#!/bin/sh",
      'for word in "$@"; do',
      `    if [ "$word" = ${command} ]; then`,
      when === "before" ? `        ${killer}; exit 1` : `        ${real} "$@"; ${killer}; exit 1`,
      "    fi",
      "done",
      `exec ${real} "$@"`,
      "",
    ].join("\n"),
    { mode: 0o755 },
  );
  return { PATH: `${bin}:${dataset.env["PATH"]}` };
}

/** A tool that was killed has no exit code of its own. */
function assertKilled({ code }: { code: number }): void {
  assert.equal(code, 137, "The tool was not killed");
}

concurrently(false, {
  "killed before it submits anything: nothing is recorded, and the output is free again":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      assertKilled(await dataset.tool(["schedule", "-o", "out", "sh kill_tool.sh; exit 1"]));
      assert.match((await dataset.tool(["status"])).stdout, /^No open jobs/);
      await checkDataset(dataset, { base });
      const id = await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
      await checkDataset(dataset, { base, open: [id] });
    },
  "an array that is recorded late has all its tasks, whoever has forgotten them": async () => {
    for (const forgetful of ["scontrol", "sacct"]) {
      await using dataset = await TestDataset.make();
      await dataset.write("job.sh", "#!/bin/sh\n#SBATCH --array=0-2\nexec sh array.sh out\n");
      const base = await dataset.commit("Job");
      const command = "sbatch job.sh; sh kill_tool.sh";
      assertKilled(await dataset.tool(["schedule", "-o", "out", command]));
      const [id = ""] = await jobsSubmittedBelow(dataset.root);
      await jobsAreOver([id]);
      await until("all tasks are in accounting", async () => {
        const rows = await slurm("sacct", "--allocations", "--noheader", `--jobs=${id}`);
        return rows.trim().split("\n").length === 3;
      });
      // As if that was long ago.
      const journal = `${dataset.root}/.git/datalad-slurm/journal`;
      const [token] = [...Deno.readDirSync(journal)];
      const path = `${journal}/${token?.name}/entry.json`;
      const entry = JSON.parse(await Deno.readTextFile(path));
      const anHourAgo = { ...entry, since: entry.since - 3_600_000 };
      await Deno.writeTextFile(path, JSON.stringify(anHourAgo));
      const scontrol = (await dataset.run(["sh", "-c", "command -v scontrol"])).stdout.trim();
      const PATH = await dataset.pathWith({
        [forgetful]: forgetful === "sacct"
          ? "exit 1"
          : `'${scontrol}' "$@" | awk 'BEGIN { RS = ""; ORS = "\\n\\n" } !/ArrayTaskId=[01] /'`,
      });
      assert.match(await dataset.succeed(["status"], { env: { PATH } }), new RegExp(id));
      assert.equal((await dataset.record()).datalad_slurm.job.array, "0-2");
      await dataset.succeed(["finish"]);
      const tasks = ["0", "1", "2"].flatMap((task) => [
        [`out/${task}`, `task ${task}\n`],
        [`slurm-${id}_${task}.out`, ""],
      ]);
      const finished = Object.fromEntries([
        ...tasks,
        [`slurm-job-${id}.env.json`, environmentOf(id)],
      ]);
      await checkDataset(dataset, { base, finished: { [id]: finished } });
    }
  },
  "killed after sbatch has printed the id: the next command records the job": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    assertKilled(
      await dataset.tool(["schedule", "-o", "out", "sbatch write.sh out; sh kill_tool.sh"]),
    );
    const [id = "", ...more] = await jobsSubmittedBelow(dataset.root);
    assert.deepEqual(more, []);
    await assert.rejects(checkNothingIsLeft(dataset), /The journal/);
    const { stdout, stderr } = await dataset.tool(["status"]);
    assert.match(stderr, new RegExp(`Recorded job ${id}`));
    assert.match(stdout, new RegExp(` ${id} `));
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "killed after a submission that printed no id: the next schedule records the job first":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      assertKilled(
        await dataset.tool(["schedule", "-o", "out", "sbatch -Q -H write.sh out; sh kill_tool.sh"]),
      );
      const [id = ""] = await jobsSubmittedBelow(dataset.root);
      const refused = await dataset.tool([
        "schedule",
        "-o",
        "out",
        "sbatch",
        "-H",
        "write.sh",
        "out",
      ]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, new RegExp(`held by the open job ${id}`));
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
      await checkDataset(dataset, { base, open: [id] });
    },
  "killed while the submitting command is still at work: it is waited for": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const pipe = await dataset.pipe("pipe");
    const command = `sh kill_tool.sh; read -r word <${pipe}; sbatch -H write.sh out`;
    assertKilled(await dataset.tool(["schedule", "-o", "out", command]));
    assert.match((await dataset.tool(["status"])).stderr, /Another command is at work/);
    const refused = await dataset.tool([
      "schedule",
      "-o",
      "out",
      "sbatch",
      "-H",
      "write.sh",
      "out",
    ]);
    assert.match(refused.stderr, /held by a job that is being submitted/);
    assert.equal(refused.code, 1);
    await letGo(pipe);
    await until(
      "the job is submitted",
      async () => (await jobsSubmittedBelow(dataset.root)).length > 0,
    );
    await until("it is recorded", async () => {
      return /Recorded job/.test((await dataset.tool(["status"])).stderr);
    });
    const ids = await jobsSubmittedBelow(dataset.root);
    assert.equal(ids.length, 1);
    await checkDataset(dataset, { base, open: ids });
  },
  ...Object.fromEntries(
    (["commit-tree", "update-ref"] as const).flatMap((command) =>
      (["before", "after"] as const).map((when) => [
        `schedule killed ${when} git ${command}: the job is recorded once`,
        async () => {
          await using dataset = await TestDataset.make();
          const base = await dataset.git("rev-parse", "HEAD");
          const env = await killAt(dataset, command, when);
          assertKilled(
            await dataset.tool(["schedule", "-o", "out", "sbatch", "write.sh", "out"], { env }),
          );
          const [id = ""] = await jobsSubmittedBelow(dataset.root);
          await dataset.succeed(["status"]);
          await jobsAreOver([id]);
          await dataset.succeed(["finish"]);
          assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
          await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
        },
      ])
    ),
  ),
  ...Object.fromEntries(
    (["annex", "diff-index", "fast-import", "update-ref"] as const).flatMap((command) =>
      (["before", "after"] as const).map((when) => [
        `finish killed ${when} git ${command}: the next finish makes the same commits`,
        async () => {
          await using dataset = await TestDataset.make({ kind: "text2git" });
          const base = await dataset.git("rev-parse", "HEAD");
          const ids: string[] = [];
          for (const name of ["a", "b"]) {
            ids.push(await dataset.schedule(["-o", name, "sbatch", "write.sh", name]));
          }
          await jobsAreOver(ids);
          const env = await killAt(dataset, command, when);
          assertKilled(await dataset.tool(["finish"], { env }));
          await dataset.succeed(["finish"]);
          await dataset.succeed(["status"]);
          await checkNothingIsLeft(dataset);
          const [a = "", b = ""] = ids;
          await checkDataset(dataset, {
            base,
            finished: { [a]: written(a, ["a"]), [b]: written(b, ["b"]) },
          });
        },
      ])
    ),
  ),
});

concurrently(
  !isOnPath("cc"),
  Object.fromEntries(
    (["before", "after"] as const).map((when) => [
      `finish killed ${when} git update-ref where there are no hard links: git's lock is given back`,
      async () => {
        await using dataset = await TestDataset.make();
        const base = await dataset.git("rev-parse", "HEAD");
        const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
        await jobsAreOver([id]);
        const env = { ...await killAt(dataset, "update-ref", when), ...await noHardLinks(dataset) };
        assertKilled(await dataset.tool(["finish"], { env }));
        assert.ok(isThere(`${dataset.root}/.git/index.lock`));
        await dataset.succeed(["finish"], { env: { LD_PRELOAD: env.LD_PRELOAD } });
        await dataset.succeed(["status"]);
        await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
      },
    ]),
  ),
);

/** Returns the environment in which no program can make a hard link. */
async function noHardLinks({ scratch }: TestDataset): Promise<{ LD_PRELOAD: string }> {
  const library = `${scratch.directory}/no_hard_links.so`;
  const failing = "{ (void)from; (void)to; errno = EPERM; return -1; }";
  await Deno.writeTextFile(
    `${library}.c`,
    "#include <errno.h>\n" +
      `int link(const char *from, const char *to) ${failing}\n` +
      "int linkat(int in, const char *from, int at, const char *to, int flags) " +
      `{ (void)in; (void)at; (void)flags; ${failing.slice(1)}\n`,
  );
  await output(["cc", "-shared", "-fPIC", "-o", library, `${library}.c`], {
    cwd: "/",
    env: scratch.env,
  });
  return { LD_PRELOAD: library };
}

// The stand-in is asked by itself, not by the programs on PATH.
concurrently(noRealSlurm, {
  "a submission that Slurm cannot be asked about is in doubt, and found later": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    assertKilled(
      await dataset.tool(["schedule", "-o", "out", "sbatch -Q -H write.sh out; sh kill_tool.sh"]),
    );
    const bin = `${dataset.scratch.directory}/bin`;
    await Deno.mkdir(bin);
    for (const name of ["squeue", "sacct", "scontrol"]) {
      await Deno.writeTextFile(`${bin}/${name}`, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    }
    const blind = { env: { PATH: `${bin}:${dataset.env["PATH"]}` } };
    const { code, stderr } = await dataset.tool(["recover"], blind);
    assert.match(stderr, /It is in doubt whether this command submitted a job/);
    assert.match(stderr, /sbatch -Q -H write\.sh out/);
    assert.equal(code, 1);
    const seeing = await dataset.tool(["recover"]);
    assert.match(seeing.stderr, /Recorded job/);
    assert.equal(seeing.code, 0);
    await checkDataset(dataset, { base, open: await jobsSubmittedBelow(dataset.root) });
  },
});
