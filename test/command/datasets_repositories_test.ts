import assert from "node:assert/strict";
import { checkDataset, type Content, environmentOf, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { checkWithDatalad, datalad, noDatalad } from "../support/datalad.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, jobsSubmittedBelow, noRealSlurm, useCluster } from "../support/real_slurm.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";

useCluster();

/** Runs `write.sh` with these files as outputs to its finish commit. */
async function runJob(dataset: TestDataset, ...files: string[]): Promise<string> {
  const id = await dataset.schedule([
    ...files.flatMap((file) => ["-o", file]),
    ...["sbatch", "write.sh", ...files],
  ]);
  await jobsAreOver([id]);
  await dataset.succeed(["finish"]);
  return id;
}

/** Lets a dataset's repository go through schedule, finish and reschedule. */
async function goThrough(dataset: TestDataset): Promise<void> {
  const base = await dataset.git("rev-parse", "HEAD");
  const first = await runJob(dataset, "out/a", "b");
  const again = jobIdIn(await dataset.succeed(["reschedule", "HEAD"]));
  await jobsAreOver([again]);
  await dataset.succeed(["finish"]);
  const logs: Record<string, Content> = {
    [`slurm-${again}.out`]: "wrote out/a\nwrote b\n",
    [`slurm-job-${again}.env.json`]: environmentOf(again),
  };
  await checkDataset(dataset, {
    base,
    // The second time the results are the same.
    finished: { [first]: written(first, ["out/a", "b"]), [again]: logs },
  });
}

/** Writes an executable into a directory and returns that directory. */
async function program(directory: string, name: string, text: string): Promise<string> {
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/${name}`, text, { mode: 0o755 });
  return directory;
}

/** Returns the permissions that a directory, and all in it, have; links have none. */
function modesBelow(path: string): { directories: number[]; files: number[] } {
  const directories = new Set<number>();
  const files = new Set<number>();
  const look = (at: string) => {
    const { isDirectory, isFile, mode } = Deno.lstatSync(at);
    if (isFile) files.add((mode ?? 0) & 0o777);
    if (!isDirectory) return;
    directories.add((mode ?? 0) & 0o777);
    for (const { name } of Deno.readDirSync(at)) look(`${at}/${name}`);
  };
  look(path);
  return { directories: [...directories], files: [...files] };
}

concurrently(false, {
  "what the tool keeps has the modes that core.sharedRepository names in digits, as git's own files":
    async () => {
      for (
        const [shared, directories, files] of [
          ["0660", 0o770, 0o660],
          ["0640", 0o750, 0o640],
          ["0664", 0o775, 0o664],
          ["0600", 0o700, 0o600],
        ] as const
      ) {
        await using dataset = await TestDataset.make();
        await dataset.git("config", "core.sharedRepository", shared);
        await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
        await dataset.tool(["status"]);
        const modes = modesBelow(`${dataset.root}/.git/datalad-slurm`);
        assert.deepEqual(modes, { directories: [directories], files: [files] }, shared);
      }
    },
});

concurrently(noDatalad, {
  "a repository with SHA-256 ids": async () => {
    await using dataset = await TestDataset.make();
    await Deno.remove(`${dataset.root}/.git`, { recursive: true });
    await dataset.git("init", "-q", "--object-format=sha256");
    assert.equal((await dataset.commit("Scripts")).length, 64);
    await goThrough(dataset);
  },
  "core.autocrlf": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("config", "core.autocrlf", "input");
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      ...["-o", "crlf", "sbatch", "--wrap", "printf 'a\\r\\nb\\n' >crlf"],
    ]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          crlf: "a\nb\n",
          [`slurm-${id}.out`]: "",
          [`slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
    assert.equal(await Deno.readTextFile(`${dataset.root}/crlf`), "a\r\nb\n", "The user's bytes");
  },
  "hooks that fail are not run": async () => {
    await using dataset = await TestDataset.make({ kind: "text2git" });
    const hooks = `${dataset.scratch.directory}/hooks`;
    for (
      const name of [
        ...["pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "post-checkout"],
        ...["post-merge", "pre-merge-commit", "post-index-change"],
      ]
    ) await program(hooks, name, `#!/bin/sh\necho ${name} >>'${hooks}/ran'\nexit 1\n`);
    await dataset.git("config", "core.hooksPath", hooks);
    await goThrough(dataset);
    const ran = await Deno.readTextFile(`${hooks}/ran`).catch(() => "");
    // git itself tells of the index whenever it writes one.
    assert.deepEqual(ran.split("\n").filter((line) => !/^(post-index-change)?$/.test(line)), []);
  },
  "commit.gpgSign signs every commit, and a signer that fails leaves nothing behind": async () => {
    await using dataset = await TestDataset.make();
    const signer = (code: number) =>
      "#!/bin/sh\ncat >/dev/null\nprintf '[GNUPG:] SIG_CREATED \\n' >&2\n" +
      "printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nabc\\n-----END PGP SIGNATURE-----\\n'\n" +
      `exit ${code}\n`;
    const directory = await program(`${dataset.scratch.directory}/gpg`, "signer", signer(0));
    await dataset.git("config", "commit.gpgSign", "true");
    await dataset.git("config", "gpg.program", `${directory}/signer`);
    const base = await dataset.git("rev-parse", "HEAD");
    const one = await runJob(dataset, "a");
    for (const commit of ["HEAD", "HEAD^"]) {
      assert.match(await dataset.git("cat-file", "commit", commit), /^gpgsig -----BEGIN PGP/m);
    }
    const two = await dataset.schedule(["-o", "b", "sbatch", "write.sh", "b"]);
    await jobsAreOver([two]);
    await program(directory, "signer", signer(1));
    const before = await dataset.git("rev-parse", "HEAD");
    const { code, stderr } = await dataset.tool(["finish"]);
    assert.equal(code, 3);
    assert.match(stderr, /signing key|failed to sign/);
    assert.equal(await dataset.git("rev-parse", "HEAD"), before);
    await program(directory, "signer", signer(0));
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: { [one]: written(one, ["a"]), [two]: written(two, ["b"]) },
    });
  },
  "a dataset that DataLad made, from create to a clone of a clone": async () => {
    await using other = await TestDataset.make();
    const dataset = other.at(`${other.scratch.directory}/made`);
    await datalad(other, "create", "-c", "text2git", dataset.root);
    await Deno.copyFile(`${other.root}/write.sh`, `${dataset.root}/write.sh`);
    await datalad(dataset, "save", "-m", "Script");
    await goThrough(dataset);
    await checkWithDatalad(dataset, { "out/a": "result of out/a\n" });
  },
  "two users share a repository with core.sharedRepository": async () => {
    // The stand-in is of one user.
    if (Deno.uid() !== 0 || noRealSlurm) return;
    await using dataset = await TestDataset.make();
    const { directory } = dataset.scratch;
    await dataset.git("config", "core.sharedRepository", "group");
    await dataset.run(["chgrp", "-R", "nogroup", dataset.root]);
    await dataset.run(["chmod", "-R", "g+rwX", dataset.root]);
    await dataset.run(["find", dataset.root, "-type", "d", "-exec", "chmod", "g+s", "{}", "+"]);
    await Deno.chmod(directory, 0o755);
    await Deno.mkdir(`${directory}/nobody`);
    await Deno.writeTextFile(
      `${directory}/nobody/.gitconfig`,
      "[user]\n\tname = No Body\n\temail = nobody@example.org\n[safe]\n\tdirectory = *\n",
    );
    // The tool's packages may lie where only root can read.
    const deno = toolEnvironment()["DENO_DIR"];
    await dataset.run(["cp", "-R", `${deno}/npm`, `${directory}/nobody`]);
    await dataset.run(["chown", "-R", "nobody:nogroup", `${directory}/nobody`, `${directory}/tmp`]);
    const base = await dataset.git("rev-parse", "HEAD");
    const own = await dataset.schedule(["-o", "a", "sbatch", "-H", "write.sh", "a"]);
    const args = ["schedule", "-o", "b", "sbatch", "-H", "write.sh", "b"];
    const { code, stdout, stderr } = await dataset.run(
      [
        ...["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"],
        ...["env", `HOME=${directory}/nobody`, "sh", "-c", 'umask 022 && exec "$@"', "sh"],
        ...[...toolArgv(), ...args],
      ],
      { env: { DENO_DIR: `${directory}/nobody` } },
    );
    assert.equal(code, 0, stderr);
    const theirs = jobIdIn(stdout);
    const third = await dataset.schedule(["-o", "c", "sbatch", "-H", "write.sh", "c"]);
    await checkDataset(dataset, { base, open: [own, theirs, third] });
    assert.equal(await dataset.git("log", "-1", "--format=%an", "HEAD^"), "No Body");
  },
  "git-annex missing from PATH is an error that names the dataset and changes nothing":
    async () => {
      await using dataset = await TestDataset.make({ kind: "annex" });
      await dataset.write("in", "x\n");
      await dataset.write("old", "old\n");
      await dataset.git("annex", "add", "-q", "in", "old");
      const base = await dataset.commit("Files");
      // All programs but git-annex.
      const bin = `${dataset.scratch.directory}/bin`;
      await Deno.mkdir(bin);
      for (const directory of ["/usr/bin", "/bin"]) {
        for (const { name } of Deno.readDirSync(directory)) {
          if (name.startsWith("git-annex")) continue;
          await Deno.symlink(`${directory}/${name}`, `${bin}/${name}`).catch(() => {});
        }
      }
      const without = { env: { PATH: bin } };
      const refused = async (...args: string[]) => {
        const { code, stderr } = await dataset.tool(args, without);
        assert.equal(code, 3, stderr);
        assert.match(stderr, new RegExp(`dataset "${dataset.root}" needs git-annex`));
      };
      await refused("schedule", "-o", "old", "sbatch", "write.sh", "old");
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), []);
      await checkDataset(dataset, { base });
      const id = await dataset.schedule(["-o", "new", "sbatch", "write.sh", "new"], without);
      await jobsAreOver([id]);
      const before = await dataset.git("status", "--porcelain");
      await refused("finish");
      assert.equal(await dataset.git("status", "--porcelain"), before);
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, { base, finished: { [id]: written(id, ["new"]) } });
    },
});
