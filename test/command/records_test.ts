import assert from "node:assert/strict";
import { checkDataset, environmentOf } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { jobsAreOver, slurm, useCluster } from "../support/real_slurm.ts";

useCluster();

const fixtures = new URL("../../fixtures/records/", import.meta.url);

/** Commits a message as somebody else has written it; no file changes. */
async function commitMessage(dataset: TestDataset, message: string): Promise<string> {
  const { stdout } = await dataset.run(["git", "commit", "-q", "--allow-empty", "-F", "-"], {
    stdin: message,
  });
  assert.equal(stdout, "");
  return await dataset.git("rev-parse", "HEAD");
}

/** Returns the message of a record in the sidecar of an id, and the compressed record. */
async function sidecarOf(dataset: TestDataset, id: string): Promise<string> {
  const schedule = await Deno.readTextFile(new URL("schedule-2025-01.txt", fixtures));
  const [head, json = ""] = schedule.split(/^=== .* ===$|^\^\^\^ .*$/m);
  const path = `.datalad/runinfo/${id}`;
  await dataset.write(path, `${JSON.stringify(JSON.parse(json))}\n"${id}"\n`);
  await dataset.run(["xz", "--suffix=.x", path]);
  await Deno.rename(`${dataset.root}/${path}.x`, `${dataset.root}/${path}`);
  return `${head}=== Do not change lines below ===\n"${id}"\n^^^ Do not change lines above ^^^\n`;
}

/** Whether `status` lists the job of the sidecars, what it warns of, and how it ends. */
async function statusOf(dataset: TestDataset, env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await dataset.tool(["status"], { env });
  const warnings = stderr.split("\n").filter((line) => /^(?:Warning|Error): /.test(line));
  return { code, listed: stdout.match(/ 45 /g)?.length ?? 0, warnings, stderr };
}

concurrently(false, {
  "a sidecar record in the annex is read, where its content is here": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const [linked, pointed] = ["abc1", "abc2"];
    for (const id of [linked, pointed]) {
      const message = await sidecarOf(dataset, id);
      // As DataLad has it.
      const dotted = ["-c", "annex.dotfiles=true", "-c", "annex.largefiles=anything"];
      if (id === linked) await dataset.git(...dotted, "annex", "add", "-q", ".datalad");
      await dataset.git(...dotted, "add", ".datalad");
      await commitMessage(dataset, message);
    }
    const modes = await dataset.git("ls-tree", "-r", "HEAD", ".datalad/runinfo");
    assert.match(modes, /^120000 .*abc1\n100644 .*abc2$/);
    const clone = dataset.at(`${dataset.scratch.directory}/clone`);
    await dataset.git("clone", "-q", dataset.root, clone.root);
    assert.deepEqual((await statusOf(dataset)).warnings, []);
    assert.equal((await statusOf(dataset)).listed, 2);
    // Asking does not make an annex of a clone, nor is the answer kept.
    for (const initialise of [false, true]) {
      if (initialise) await clone.git("annex", "init", "-q");
      const { listed, warnings } = await statusOf(clone);
      assert.equal(listed, 0);
      assert.equal(warnings.length, 2);
      assert.match(
        warnings[0] ?? "",
        /content is not here: get it with git annex get \.datalad\/runinfo\/abc1$/,
      );
      const uuid = await clone.run(["git", "config", "annex.uuid"]);
      assert.equal(uuid.code, initialise ? 0 : 1);
    }
    for (const [got, id] of [linked, pointed].entries()) {
      await clone.git("annex", "get", "-q", `.datalad/runinfo/${id}`);
      const { listed, warnings } = await statusOf(clone);
      assert.deepEqual([listed, warnings.length], [got + 1, 1 - got]);
    }
  },
  "what keeps a sidecar record from being read once does not do so for ever": async () => {
    await using dataset = await TestDataset.make();
    const message = await sidecarOf(dataset, "abc1");
    await dataset.git("add", ".datalad");
    await commitMessage(dataset, message);
    // All programs but xz.
    const without = await Deno.makeTempDir({ dir: dataset.scratch.directory });
    for (const directory of (dataset.env["PATH"] ?? "").split(":").reverse()) {
      await dataset.run([
        "sh",
        "-c",
        'ln -sf "$1"/* "$2"; rm -f "$2/xz"',
        "sh",
        directory,
        without,
      ]);
    }
    const broken = "echo 'xz: error while loading shared libraries: liblzma.so.5' >&2; exit 127";
    for (const PATH of [without, await dataset.pathWith({ xz: broken })]) {
      for (let times = 0; times < 2; times++) {
        const { code, listed, warnings } = await statusOf(dataset, { PATH });
        assert.deepEqual([code, listed, warnings.length], [0, 0, 1]);
        assert.match(warnings[0] ?? "", /"xz" cannot be run: install it/);
      }
      const later = await statusOf(dataset);
      assert.deepEqual([later.listed, later.warnings], [1, []]);
      await Deno.remove(`${dataset.root}/.git/datalad-slurm/open-jobs`, { recursive: true });
    }
    // Whoever kills it says nothing of the record.
    const killed = await statusOf(dataset, {
      PATH: await dataset.pathWith({ xz: "kill -TERM $$" }),
    });
    assert.equal(killed.code, 3);
    assert.match(killed.stderr, /xz .* was ended by SIGTERM/);
    assert.equal((await statusOf(dataset)).listed, 1);
  },
  "what another version of the program could not read is read anew": async () => {
    await using dataset = await TestDataset.make();
    const schedule = await Deno.readTextFile(new URL("schedule-2025-01.txt", fixtures));
    await commitMessage(dataset, schedule);
    assert.equal((await statusOf(dataset)).listed, 1);
    const directory = `${dataset.root}/.git/datalad-slurm/open-jobs`;
    const [file] = [...Deno.readDirSync(directory)].map(({ name }) => `${directory}/${name}`);
    const cache = JSON.parse(await Deno.readTextFile(file ?? ""));
    const emptied = { ...cache, reads: cache.reads - 1, jobs: [] };
    await Deno.writeTextFile(file ?? "", JSON.stringify(emptied));
    assert.equal((await statusOf(dataset)).listed, 1);
  },
  "a record that cannot be read is named, and the other jobs go on": async () => {
    await using dataset = await TestDataset.make();
    const schedule = await Deno.readTextFile(new URL("schedule-2025-01.txt", fixtures));
    const commits: string[] = [];
    for (
      const message of [
        schedule.replace('"chain": [],', '"chain": [},'),
        schedule.replace('"45"', '"46"'),
        schedule.replace("=== Do not change lines below ===", ""),
        "[DATALAD SCHEDULE] nothing at all",
      ]
    ) commits.push(await commitMessage(dataset, message));
    await commitMessage(
      dataset,
      "[DATALAD RUNCMD] something\n\n=== Do not change lines below ===\n{}\n",
    );
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    for (const command of ["status", "finish"]) {
      const { stdout, stderr } = await dataset.tool([command]);
      for (const commit of commits) {
        assert.match(stderr, new RegExp(`Warning: .*${commit.slice(0, 7)}`));
      }
      assert.equal(stderr.match(/Warning:/g)?.length, commits.length, stderr);
      assert.match(stdout, new RegExp(`\\b${id}\\b`));
    }
    const target = await dataset.tool(["finish", commits[0] ?? ""]);
    assert.match(target.stderr, /It is not JSON/);
    assert.equal(target.code, 1);
  },
  "a git log that fails is an error, and hides no job from then on": async () => {
    await using dataset = await TestDataset.make();
    const open = await commitMessage(
      dataset,
      await Deno.readTextFile(new URL("schedule-2025-01.txt", fixtures)),
    );
    const real = (await dataset.run(["which", "git"])).stdout.trim();
    /** Returns a PATH with a git whose `git log` of records ends so. */
    const failing = async (ending: string) =>
      await dataset.pathWith({
        git: `case " $* " in *" --grep="*) ${ending} ;; esac\nexec ${real} "$@"`,
      });
    const fails = "echo 'fatal: Out of memory, malloc failed' >&2; exit 128";
    const jobs = async (path?: string) => {
      const { code, stdout, stderr } = await dataset.tool(["status"], {
        env: path === undefined ? {} : { PATH: path },
      });
      return { code, stderr, isListed: / 45 /.test(stdout) };
    };
    assert.equal((await jobs()).isListed, true);
    for (const ending of [fails, "kill -KILL $$"]) {
      await dataset.git("commit", "-q", "--allow-empty", "-m", "Another");
      const { code, stderr } = await jobs(await failing(ending));
      assert.equal(code, 3);
      assert.match(stderr, ending === fails ? /Out of memory/ : /was ended by SIGKILL/);
      assert.equal((await jobs()).isListed, true, ending);
    }
    // The next one may go well: all of history is read.
    await dataset.git("commit", "-q", "--allow-empty", "-m", "Last");
    const once = await failing(`[ -e "$0.failed" ] || { >"$0.failed"; ${fails}; }`);
    assert.ok((await jobs(once)).isListed);
    // What is not known to be later than a commit is not taken for that.
    const since = await dataset.tool(["status", "--since", open], {
      env: { PATH: await failing(`case $* in *^*) ${fails} ;; esac`) },
    });
    assert.equal(since.code, 3);
    assert.match(since.stderr, /Out of memory/);
  },
  "open jobs of the DataLad extension of 2024 are listed and finished": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("jobs/20/slurm.sh", "#!/bin/sh\necho done >result\n");
    const base = await dataset.commit("Job");
    const submitted = await slurm(
      "sbatch",
      "--parsable",
      `--chdir=${dataset.root}/jobs/20`,
      "--output=log.slurm-%j.out",
      `${dataset.root}/jobs/20/slurm.sh`,
    );
    const id = submitted.trim();
    const message = (await Deno.readTextFile(new URL("schedule-2025-01.txt", fixtures)))
      .replaceAll("45", id).replaceAll("/data/ds", dataset.root);
    await commitMessage(dataset, message);
    await jobsAreOver([id]);
    assert.match(await dataset.succeed(["status"]), new RegExp(` ${id} +Complete `));
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "jobs/20/result": "done\n",
          [`jobs/20/log.slurm-${id}.out`]: "",
          [`jobs/20/slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
  },
  "finished jobs of the extension, both versions, are not open": async () => {
    await using dataset = await TestDataset.make();
    for (const { name } of Deno.readDirSync(fixtures)) {
      if (!name.endsWith(".txt")) continue;
      if (name.startsWith("schedule")) continue;
      await commitMessage(dataset, await Deno.readTextFile(new URL(name, fixtures)));
    }
    assert.deepEqual(await dataset.tool(["status"]), {
      code: 0,
      stdout: "No open jobs\n",
      stderr: "",
    });
    const { code, stderr } = await dataset.tool(["finish", "23"]);
    assert.match(stderr, /Job 23 is finished already/);
    assert.equal(code, 1);
  },
  "a schedule and a finish of the extension answer each other": async () => {
    await using dataset = await TestDataset.make();
    for (const name of ["schedule", "finish"]) {
      const message = await Deno.readTextFile(new URL(`${name}-2025-01.txt`, fixtures));
      await commitMessage(dataset, message);
    }
    assert.equal(await dataset.succeed(["status"]), "No open jobs\n");
  },
});
