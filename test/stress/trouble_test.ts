import assert from "node:assert/strict";
import { isThere } from "../../lib/files.ts";
import { checkDataset, checkNothingIsLeft, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { isOnPath } from "../support/pseudo_terminal.ts";
import { jobsAreOver, jobsSubmittedBelow, noRealSlurm, useCluster } from "../support/real_slurm.ts";
import { output, type Ran, runProgram } from "../support/scratch.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";
import { goOn } from "./crashes.ts";
import { runInterposed } from "./interpose.ts";
import { survey } from "./survival.ts";

useCluster();

const OUT = ["schedule", "-o", "out", "sbatch", "write.sh", "out"];

/** Asserts that a command has failed with words for people and not with a stack. */
function assertRefused({ code, stderr }: Ran, words: RegExp, codes = [1, 3]): void {
  assert.match(stderr, words);
  assert.ok(codes.includes(code), `Exit code ${code}: ${stderr}`);
  assert.doesNotMatch(stderr, /This is a bug|\n {4}at /);
}

/** A small file system of its own that holds a dataset. */
class SmallDisk implements AsyncDisposable {
  private constructor(readonly dataset: TestDataset, readonly base: string) {}

  static async make(): Promise<SmallDisk> {
    const dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const disk = new SmallDisk(dataset, base);
    await dataset.run(["mv", dataset.root, `${dataset.root}.copy`], { cwd: "/" });
    await Deno.mkdir(dataset.root);
    await disk.#mount("-t", "tmpfs", "-o", "size=3m", "tmpfs");
    await disk.#root("cp", "-a", `${dataset.root}.copy/.`, dataset.root);
    return disk;
  }

  async #root(...argv: string[]): Promise<void> {
    await output(argv, { cwd: "/", env: this.dataset.env });
  }

  async #mount(...options: string[]): Promise<void> {
    await this.#root("mount", ...options, this.dataset.root);
  }

  async readOnly(): Promise<void> {
    await this.#mount("-o", "remount,ro");
  }

  async writable(): Promise<void> {
    await this.#mount("-o", "remount,rw");
  }

  /** Fills the disk to the last byte. */
  async fill(): Promise<void> {
    await this.dataset.run(["sh", "-c", fillScript(this.dataset)]);
  }

  async free(): Promise<void> {
    await Deno.remove(`${this.dataset.root}/.git/ballast`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root("umount", "--lazy", this.dataset.root);
    await this.dataset[Symbol.asyncDispose]();
  }
}

/** A file system of its own that holds a dataset and has a quota: btrfs, where root has one too. */
class QuotaDisk implements AsyncDisposable {
  private constructor(readonly dataset: TestDataset, readonly base: string) {}

  static async make(kind: DatasetKind): Promise<QuotaDisk> {
    const dataset = await TestDataset.make({ kind });
    const base = await dataset.git("rev-parse", "HEAD");
    const disk = new QuotaDisk(dataset, base);
    const { root, scratch: { directory } } = dataset;
    await disk.#root("mv", root, `${root}.copy`);
    await disk.#root("truncate", "-s", "128M", `${directory}/image`);
    await disk.#root("mkfs.btrfs", "-q", `${directory}/image`);
    await Deno.mkdir(disk.#top);
    await disk.#root("mount", "-o", "loop", `${directory}/image`, disk.#top);
    await disk.#root("btrfs", "quota", "enable", disk.#top);
    await disk.#root("btrfs", "subvolume", "create", `${disk.#top}/ds`);
    await Deno.mkdir(root);
    await disk.#root("mount", "--bind", `${disk.#top}/ds`, root);
    await disk.#root("cp", "-a", `${root}.copy/.`, root);
    return disk;
  }

  get #top(): string {
    return `${this.dataset.scratch.directory}/top`;
  }

  async #root(...argv: string[]): Promise<string> {
    return await output(argv, { cwd: "/", env: this.dataset.env });
  }

  /** Lets the dataset grow no more, or to `none`. */
  async limit(size: "1M" | "none"): Promise<void> {
    // What is not written yet does not count.
    await this.#root("sync", "-f", this.#top);
    const shown = await this.#root("btrfs", "subvolume", "show", `${this.#top}/ds`);
    const id = /^\s*Subvolume ID:\s*(\d+)$/m.exec(shown)?.[1];
    // Below a quota that is used up it could not be lifted.
    await this.#root("btrfs", "qgroup", "limit", size, `0/${id}`, this.#top);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root("umount", "--lazy", this.dataset.root);
    await this.#root("umount", "--lazy", this.#top);
    await this.dataset[Symbol.asyncDispose]();
  }
}

/** Whether no quota can be had here. */
const noQuota = noRealSlurm || !isOnPath("mkfs.btrfs") || !isThere("/dev/loop-control") ||
  !Deno.readTextFileSync("/proc/filesystems").includes("btrfs");

function fillScript({ root }: TestDataset): string {
  return `cat /dev/zero >'${root}/.git/ballast' || true`;
}

/** What of a job's outputs `d/a`, `e/*`, `f/*\/c` and `h` is closed to the user, and what is said then. */
const UNREADABLE = [
  { what: "a file", kind: "git", closed: "d/a", named: "d/a" },
  { what: "the directory of a file", kind: "git", closed: "d", named: "d/a" },
  { what: "a directory with matches", kind: "annex", closed: "e", named: "e" },
  { what: "a directory amid a glob", kind: "git", closed: "f/g", named: "f/g" },
  { what: "what a listed directory holds", kind: "git", closed: "h", named: "h/x", mode: 0o444 },
  { what: "what a listed directory holds", kind: "annex", closed: "h", named: "h/x", mode: 0o444 },
  { what: "a file for git and not the annex", kind: "text2git", closed: "d/a", named: "d/a" },
] as const;

concurrently(noRealSlurm, {
  "a git-annex that answers a name when the next one is whole (10.20250416)": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(OUT.slice(1));
    await jobsAreOver([id]);
    const bin = `${dataset.scratch.directory}/bin`;
    await Deno.mkdir(bin);
    const path = dataset.env["PATH"] ?? "";
    const late = 'perl -e \'$| = 1; $/ = "\\0"; my $last = ""; ' +
      "while (<STDIN>) { print $last; $last = $_ } print $last'";
    await Deno.writeTextFile(
      `${bin}/git-annex`,
      `#!/bin/sh\nPATH='${path}'\n` +
        `case "$*" in add*) ${late} | git-annex "$@" ;; *) exec git-annex "$@" ;; esac\n`,
      { mode: 0o755 },
    );
    await dataset.succeed(["finish"], { env: { PATH: `${bin}:${path}` } });
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "a git gc that takes a directory away from under git's hands is gone round": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(OUT.slice(1));
    await jobsAreOver([id]);
    const bin = `${dataset.scratch.directory}/bin`;
    await Deno.mkdir(bin);
    const path = dataset.env["PATH"] ?? "";
    await Deno.writeTextFile(
      `${bin}/git`,
      `#!/bin/sh\nPATH='${path}'\n` +
        `case "$*" in *update-index*) if mkdir '${bin}/once' 2>/dev/null; then\n` +
        "echo 'error: unable to create temporary file: No such file or directory' >&2; exit 128\n" +
        'fi;; esac\nexec git "$@"\n',
      { mode: 0o755 },
    );
    await dataset.succeed(["finish"], { env: { PATH: `${bin}:${path}` } });
    assert.deepEqual([...Deno.readDirSync(bin)].map(({ name }) => name).toSorted(), [
      "git",
      "once",
    ]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "on a full disk nothing is submitted, and it works when there is space again": async () => {
    await using disk = await SmallDisk.make();
    const { dataset } = disk;
    await disk.fill();
    assertRefused(await dataset.tool(OUT), /No space left|space/i);
    await disk.free();
    await goOn(dataset);
    assert.deepEqual((await survey(dataset)).accepted, []);
    const id = await dataset.schedule(OUT.slice(1));
    assert.deepEqual((await survey(dataset)).open, [id]);
  },
  "a disk that is full when sbatch has submitted loses no job": async () => {
    await using disk = await SmallDisk.make();
    const { dataset } = disk;
    const ran = await runInterposed(dataset, OUT, {
      program: "sbatch",
      after: fillScript(dataset),
    });
    assertRefused(ran, /space/i);
    await disk.free();
    await goOn(dataset);
    assert.equal((await survey(dataset)).open.length, 1);
  },
  "a disk that is full at the finish leaves the job open": async () => {
    await using disk = await SmallDisk.make();
    const { dataset, base } = disk;
    const id = await dataset.schedule(OUT.slice(1));
    await jobsAreOver([id]);
    await disk.fill();
    assertRefused(await dataset.tool(["finish"]), /space/i);
    await disk.free();
    await goOn(dataset);
    assert.deepEqual((await survey(dataset)).open, [id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "a file that git-annex cannot add leaves its job open, and the others are finished": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "d", "-o", "b", "sbatch", "write.sh", "d/a", "b"]);
    const other = await dataset.schedule(["-o", "other", "sbatch", "write.sh", "other"]);
    await jobsAreOver([id, other]);
    await Deno.chmod(`${dataset.root}/d`, 0o555);
    const { code, stdout, stderr } = await dataset.bound(["finish"]);
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`^Job ${id}: Complete, left open: not all of its files `, "m"));
    assert.match(stderr, new RegExp(`Warning: Job ${id}: "d/a" could not be added: `));
    assert.match(stderr, new RegExp(`For job ${id}: Put right what keeps the files from`));
    const finished = { [other]: written(other, ["other"]) };
    const left = ["d/", "b", `slurm-${id}.out`, `slurm-job-${id}.env.json`];
    const status = left.map((path) => `?? ${path}`);
    await checkDataset(dataset, { base, open: [id], finished, status });
    // What was added already goes with the next finish.
    await Deno.chmod(`${dataset.root}/d`, 0o755);
    await dataset.succeed(["finish"]);
    const all = { ...finished, [id]: written(id, ["d/a", "b"]) };
    await checkDataset(dataset, { base, finished: all });
  },
  "a disk that fills up while the commits are made leaves the job open": async () => {
    await using disk = await SmallDisk.make();
    const { dataset, base } = disk;
    const id = await dataset.schedule(OUT.slice(1));
    await jobsAreOver([id]);
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git",
      when: "*fast-import*",
      before: fillScript(dataset),
    });
    assertRefused(ran, /space|fast-import/i);
    await disk.free();
    await goOn(dataset);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "in a read-only repository nothing is submitted, and status still answers": async () => {
    await using disk = await SmallDisk.make();
    const { dataset } = disk;
    const id = await dataset.schedule(["-o", "first", "sbatch", "write.sh", "first"]);
    await jobsAreOver([id]);
    await disk.readOnly();
    assertRefused(await dataset.tool(OUT), /Read-only file system/i);
    assertRefused(await dataset.tool(["finish"]), /Read-only file system/i);
    assert.match(await dataset.succeed(["status"]), new RegExp(id));
    await disk.writable();
    assert.deepEqual((await survey(dataset)).open, [id]);
    await dataset.succeed(["finish"]);
    assert.deepEqual((await survey(dataset)).finished, [id]);
  },
  ...Object.fromEntries(
    UNREADABLE.map(({ what, kind, closed, named, ...others }) => [
      `${what} that may not be read leaves its job open, and the others are finished (${kind})`,
      async () => {
        await using dataset = await TestDataset.make({ kind });
        const base = await dataset.git("rev-parse", "HEAD");
        const outputs = ["d/a", "e/*", "f/*/c", "h"].flatMap((path) => ["-o", path]);
        const files = ["d/a", "e/b", "f/g/c", "h/x"];
        const id = await dataset.schedule([...outputs, "sbatch", "write.sh", ...files]);
        const other = await dataset.schedule(["-o", "other", "sbatch", "write.sh", "other"]);
        await jobsAreOver([id, other]);
        const { mode } = await Deno.stat(`${dataset.root}/${closed}`);
        await Deno.chmod(`${dataset.root}/${closed}`, "mode" in others ? others.mode : 0o000);
        const { code, stdout, stderr } = await dataset.bound(["finish"]);
        assert.equal(code, 1, stderr);
        assert.match(stdout, new RegExp(`^Job ${id}: Complete, left open: not all of its`, "m"));
        assert.match(stderr, new RegExp(`Job ${id}: "${named}" could not be added: permission`));
        await Deno.chmod(`${dataset.root}/${closed}`, (mode ?? 0) & 0o777);
        const finished = { [other]: written(other, ["other"]) };
        const left = ["d/", "e/", "f/", "h/", `slurm-${id}.out`, `slurm-job-${id}.env.json`];
        const status = left.map((path) => `?? ${path}`);
        await checkDataset(dataset, { base, open: [id], finished, status });
        await dataset.succeed(["finish"]);
        const all = { ...finished, [id]: written(id, files) };
        await checkDataset(dataset, { base, finished: all });
      },
    ]),
  ),
  "a reflog that cannot be written loses no record and makes none twice": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    // git moves the branch all the same, and says that it failed.
    await Deno.remove(`${dataset.root}/.git/logs/HEAD`);
    await Deno.mkdir(`${dataset.root}/.git/logs/HEAD/directory`, { recursive: true });
    await dataset.write(".git/logs/HEAD/directory/file", "");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await dataset.write("../sweep.csv", "name\na\nb\n");
    const batch = ["schedule", "-j1", "--batch", "../sweep.csv", "-o", "{name}"];
    await dataset.succeed([...batch, "sbatch", "write.sh", "{name}"]);
    const [, a = "", b = ""] = await jobsSubmittedBelow(dataset.root);
    await jobsAreOver([id, a, b]);
    await dataset.succeed(["finish"]);
    await Deno.remove(`${dataset.root}/.git/logs/HEAD`, { recursive: true });
    const finished = {
      [id]: written(id, ["out"]),
      [a]: written(a, ["a"]),
      [b]: written(b, ["b"]),
    };
    await checkDataset(dataset, { base, finished });
  },
  "what a finish on branches could not take off is taken off by the next one": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("out", "old\n");
    const base = await dataset.commit("Old");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    // Another git is at work, just when the branch is made.
    await dataset.write(".git/index.lock", "");
    assertRefused(await dataset.tool(["finish", "--branches"]), /index\.lock/);
    await Deno.remove(`${dataset.root}/.git/index.lock`);
    assert.equal(await dataset.git("show", `job-${id}:out`), `result of out`);
    await dataset.succeed(["finish"]);
    assert.equal(await dataset.git("status", "--porcelain"), "");
    await checkNothingIsLeft(dataset);
    await dataset.git("merge", "-q", "--no-edit", `job-${id}`);
    const other = await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
    await dataset.git("merge-base", "--is-ancestor", base, "HEAD");
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id, other]);
  },
  "a finish that fails leaves nothing that others would wait for": async () => {
    for (const kind of ["git", "annex"] as const) {
      await using dataset = await TestDataset.make({ kind });
      const base = await dataset.git("rev-parse", "HEAD");
      const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
      await jobsAreOver([id]);
      await dataset.git("config", "commit.gpgSign", "true");
      await dataset.git("config", "gpg.program", "false");
      assertRefused(await dataset.tool(["finish"]), /gpg/);
      const files = ["out", `slurm-${id}.out`, `slurm-job-${id}.env.json`];
      const status = files.map((path) => `?? ${path}`);
      await checkDataset(dataset, { base, open: [id], status, skipAnnex: true });
      await dataset.git("config", "commit.gpgSign", "false");
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    }
  },
  "a working directory that has vanished is named": async () => {
    await using dataset = await TestDataset.make();
    for (const args of [["status"], OUT, ["finish"]]) {
      const inVanished = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
      const ran = await runProgram(["sh", "-c", inVanished, "sh", ...toolArgv(), ...args], {
        cwd: dataset.root,
        env: { ...dataset.env, ...toolEnvironment() },
      });
      assertRefused(ran, /directory/i);
    }
  },
  "a missing git is named, with a hint": async () => {
    await using dataset = await TestDataset.make();
    const bin = `${dataset.scratch.directory}/bin`;
    await Deno.mkdir(bin);
    await Deno.symlink("/usr/bin/sbatch", `${bin}/sbatch`);
    for (const args of [["status"], OUT, ["finish"]]) {
      const ran = await dataset.tool(args, { env: { PATH: bin } });
      assertRefused(ran, /"git" is not on PATH[^]*Hint: Install git/, [3]);
    }
    assert.deepEqual((await survey(dataset)).accepted, []);
  },
  "a git-annex that fails leaves the job open": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(OUT.slice(1));
    await jobsAreOver([id]);
    const bin = `${dataset.scratch.directory}/bin`;
    await Deno.mkdir(bin);
    await Deno.writeTextFile(
      `${bin}/git-annex`,
      '#!/bin/sh\ncase "$*" in *add*) echo "no luck today" >&2; exit 1;; esac\n' +
        `PATH='${dataset.env["PATH"]}' exec git-annex "$@"\n`,
      { mode: 0o755 },
    );
    const env = { PATH: `${bin}:${dataset.env["PATH"]}` };
    assertRefused(await dataset.tool(["finish"], { env }), /no luck today/, [3]);
    await goOn(dataset);
    assert.deepEqual((await survey(dataset)).open, [id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "a git-annex that hangs is given up with Ctrl-C": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(OUT.slice(1));
    await jobsAreOver([id]);
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git-annex",
      when: "*add*",
      before: "kill -INT $TOOL; exec sleep 3",
    });
    assert.equal(ran.code, 130, ran.stderr);
    await goOn(dataset);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
});

concurrently(
  noQuota,
  Object.fromEntries((["git", "annex"] as const).map((kind) => [
    `a quota that is used up holds up schedule and finish, and nothing is lost (${kind})`,
    async () => {
      await using disk = await QuotaDisk.make(kind);
      const { dataset, base } = disk;
      const id = await dataset.schedule(OUT.slice(1));
      await jobsAreOver([id]);
      await dataset.run([
        "sh",
        "-c",
        `head -c 1500000 /dev/urandom >'${dataset.root}/.git/ballast'`,
      ]);
      await disk.limit("1M");
      assertRefused(await dataset.tool(["finish"]), /quota/i);
      const other = ["schedule", "-o", "other", "sbatch", "write.sh", "other"];
      assertRefused(await dataset.tool(other), /quota/i);
      await disk.limit("none");
      await Deno.remove(`${dataset.root}/.git/ballast`);
      await goOn(dataset);
      assert.deepEqual((await survey(dataset)).accepted, [id]);
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    },
  ])),
);
