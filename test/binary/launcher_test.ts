import assert from "node:assert/strict";
import { ownIdentity } from "../../lib/store/lock_identity.ts";
import { build } from "../../lib/executable/build.ts";
import { noPseudoTerminal, runOnTerminal } from "../support/pseudo_terminal.ts";
import { run, type RunOptions, type RunResult, text } from "../../lib/process/run.ts";

const isRoot = Deno.uid() === 0;
const nobody = 65534;

let workspace = "";
let executable = "";
let directories = 0;

Deno.test.beforeAll(async () => {
  workspace = await Deno.makeTempDir({ prefix: "launcher_test " });
  await Deno.chmod(workspace, 0o755);
  executable = `${workspace}/datalad-slurm`;
  await build(executable, new URL("probe.ts", import.meta.url).pathname);
});

Deno.test.afterAll(async () => {
  await Deno.remove(workspace, { recursive: true });
});

/** Returns a new directory that everybody may enter. */
function newDirectory(mode = 0o755): string {
  const dir = `${workspace}/${++directories}`;
  Deno.mkdirSync(dir);
  Deno.chmodSync(dir, mode);
  return dir;
}

/** Runs a program with nothing in its environment but `env`. */
function runAlone(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  options: RunOptions = {},
): Promise<RunResult> {
  const cleared = Object.fromEntries(
    Object.keys(Deno.env.toObject()).map((name) => [name, undefined]),
  );
  return run(argv, { cwd: workspace, ...options, env: { ...cleared, ...env } });
}

/** A home directory of its own and a PATH that offers nothing. */
function newHome(): { HOME: string; PATH: string } {
  return { HOME: newDirectory(), PATH: newDirectory() };
}

function cacheIn({ HOME }: { HOME: string }): string {
  return `${HOME}/.cache/datalad-slurm`;
}

function cachedFiles(cache: string): string[] {
  return [...Deno.readDirSync(cache)].map(({ name }) => name).sort();
}

function cachedFile(cache: string, kind: "deno" | "loader" | "program"): string {
  const name = cachedFiles(cache).find((name) => name.startsWith(`${kind}-`));
  assert(name !== undefined, `No file ${kind}-… in the cache`);
  return `${cache}/${name}`;
}

interface Told {
  readonly args: string[];
  readonly build: { readonly version: string; readonly commit: string; readonly kind: string };
  readonly cwd: string;
  readonly env: Record<string, string>;
  readonly invocation: { readonly name: string; readonly executable: string };
}

function told(result: RunResult): Told {
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stderr, "");
  return JSON.parse(text(result.stdout));
}

function assertIntact(cache: string): void {
  assert.match(
    cachedFiles(cache).join(" "),
    /^deno-[0-9a-f]{16} loader-[0-9a-f]{16}\.js program-[0-9a-f]{16}\.js$/,
  );
}

Deno.test("the first start unpacks three files and leaves nothing else behind", async () => {
  const env = newHome();
  told(await runAlone([executable], env));
  assertIntact(cacheIn(env));
  assert.deepEqual([...Deno.readDirSync(env.HOME)].map(({ name }) => name), [".cache"]);
});

Deno.test("the second start runs what the first has unpacked", async () => {
  const env = newHome();
  told(await runAlone([executable], env));
  const inodes = () =>
    cachedFiles(cacheIn(env)).map((name) => Deno.statSync(`${cacheIn(env)}/${name}`).ino);
  const before = inodes();
  told(await runAlone([executable], env));
  assert.deepEqual(inodes(), before);
});

Deno.test("the program is told its build, its path and its arguments as they are", async () => {
  const env = newHome();
  const args = [
    "",
    "a b",
    "--help",
    "--",
    "-A",
    "it's",
    'a "word"',
    "line\nline",
    "$HOME",
    "*",
    "ä",
  ];
  const result = told(await runAlone([executable, ...args], env));
  assert.deepEqual(result.args, args);
  assert.deepEqual(result.invocation, { name: "datalad-slurm", executable });
  assert.equal(result.build.kind, "self-extracting");
  assert.match(result.build.version, /^\d+\.\d+\.\d+/);
  assert.match(result.build.commit, /^(?:[0-9a-f]{40}(?:-dirty)?)?$/);
});

Deno.test("the program is told the name of the link it was called by", async () => {
  const env = newHome();
  const dir = newDirectory();
  for (const name of ["sbatch", "datalad", "slurm-schedule"]) {
    Deno.symlinkSync(executable, `${dir}/${name}`);
    const result = told(await runAlone([`${dir}/${name}`], env));
    assert.deepEqual(result.invocation, { name, executable: `${dir}/${name}` });
  }
  const found = told(await runAlone(["sbatch"], { ...env, PATH: dir }));
  assert.deepEqual(found.invocation, { name: "sbatch", executable: `${dir}/sbatch` });
  const relative = told(await runAlone(["./sbatch"], env, { cwd: dir }));
  assert.equal(Deno.realPathSync(relative.invocation.executable), Deno.realPathSync(executable));
});

const corruptions: Readonly<Record<string, (cache: string) => void>> = {
  "is deleted": (file) => Deno.removeSync(file),
  "is truncated": (file) => Deno.truncateSync(file, 1000),
  "is empty": (file) => Deno.truncateSync(file, 0),
  "is overwritten in place": (file) => {
    using opened = Deno.openSync(file, { write: true });
    opened.writeSync(new TextEncoder().encode("garbage"));
  },
  "cannot be executed": (file) => Deno.chmodSync(file, 0o644),
  "points to nothing": (file) => {
    Deno.removeSync(file);
    Deno.symlinkSync("/nonexistent/file", file);
  },
};

for (const [what, corrupt] of Object.entries(corruptions)) {
  Deno.test(`a cached file that ${what} is replaced at the next start`, async () => {
    const env = newHome();
    told(await runAlone([executable], env));
    const cache = cacheIn(env);
    for (const kind of ["deno", "loader", "program"] as const) {
      corrupt(cachedFile(cache, kind));
      told(await runAlone([executable, kind], env));
      assertIntact(cache);
    }
  });
}

Deno.test("200 first starts at the same time all succeed and leave one copy", async () => {
  const env = newHome();
  const results = await Promise.all(
    Array.from({ length: 200 }, () => runAlone([executable, "exit", "7"], env)),
  );
  assert.deepEqual([...new Set(results.map(({ code, stderr }) => `${code} ${stderr}`))], ["7 "]);
  assertIntact(cacheIn(env));
});

Deno.test("what an unpacking process left that was killed is cleared away", async () => {
  const env = newHome();
  const cache = cacheIn(env);
  const killed = await runAlone(["/bin/sh", "-c", "echo $$"], env);
  const holder = `${Deno.hostname()}:${text(killed.stdout).trim()}:0123`;
  Deno.mkdirSync(`${cache}/unpacking/${holder}`, { recursive: true });
  Deno.writeTextFileSync(`${cache}/unpacking/${holder}/deno-0123`, "half");
  told(await runAlone([executable], env));
  assertIntact(cache);
});

Deno.test("a truncated executable says that it is damaged", async () => {
  const env = newHome();
  const copy = `${newDirectory()}/datalad-slurm`;
  Deno.copyFileSync(executable, copy);
  Deno.truncateSync(copy, 50_000_000);
  const result = await runAlone([copy], env);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /^Error: Executable ".*datalad-slurm" is damaged\nHint: Copy/);
  assert.deepEqual(cachedFiles(cacheIn(env)), []);
});

Deno.test("paths with spaces, quotes, newlines and URL characters are no obstacle", async () => {
  const dir = `${newDirectory()}/it's a "dir"\n%41#x?y $HOME`;
  Deno.mkdirSync(dir);
  const copy = `${dir}/datalad slurm`;
  Deno.copyFileSync(executable, copy);
  const result = told(await runAlone([copy, "a"], { HOME: dir, PATH: dir }, { cwd: dir }));
  assert.equal(result.cwd, dir);
  assert.deepEqual(result.invocation, { name: "datalad slurm", executable: copy });
  assertIntact(cacheIn({ HOME: dir }));
});

Deno.test("the environment arrives as the user has set it", async () => {
  const env = {
    ...newHome(),
    DENO_DIR: "/nonexistent/deno",
    DENO_CERT: "/nonexistent/certificate",
    DENO_V8_FLAGS: "--no-such-flag",
    DENO_NO_UPDATE_CHECK: "0",
    NODE_OPTIONS: "--require /nonexistent/file",
    OTEL_DENO: "true",
    RUST_BACKTRACE: 'it\'s\n"$HOME"',
    SLURM_CONF: "/etc/slurm.conf",
    file: "exported",
  };
  const { env: seen } = told(await runAlone([executable], env));
  // Some shells set these themselves.
  for (const name of ["PWD", "OLDPWD", "SHLVL", "_"]) delete seen[name];
  assert.deepEqual(seen, env);
});

Deno.test("the environment gains nothing", async () => {
  const env = newHome();
  const { env: seen } = told(await runAlone([executable], env));
  for (const name of ["PWD", "OLDPWD", "SHLVL", "_"]) delete seen[name];
  assert.deepEqual(seen, env);
});

Deno.test("configuration in the working directory is not read", async () => {
  const env = newHome();
  const cwd = newDirectory();
  for (const name of ["deno.json", "deno.lock", "package.json", ".npmrc", ".env"]) {
    Deno.writeTextFileSync(`${cwd}/${name}`, "{ not json");
    Deno.writeTextFileSync(`${env.HOME}/${name}`, "{ not json");
  }
  told(await runAlone([executable], env, { cwd }));
});

Deno.test("the exit code is the program's", async () => {
  const env = newHome();
  for (const code of [0, 1, 8, 130, 255]) {
    assert.equal((await runAlone([executable, "exit", `${code}`], env)).code, code);
  }
});

Deno.test({
  name: "a terminal shows what the program says and nothing else",
  ignore: noPseudoTerminal,
  async fn() {
    const env = { ...newHome(), PATH: "/usr/bin:/bin" };
    const terminal = { cwd: workspace, env, columns: 80, rows: 24 };
    const { code, stdout } = await runOnTerminal([executable, "exit", "0"], terminal);
    assert.deepEqual([code, stdout], [0, ""]);
    assert.match((await runOnTerminal([executable, "throw"], terminal)).stdout, /by the probe/);
  },
});

Deno.test("stdin and stdout are handed on untouched", async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  const result = await runAlone([executable, "stdin"], newHome(), { stdin: bytes });
  assert.deepEqual(result.stdout, bytes);
});

Deno.test("an unexpected error shows where in the program it was thrown", async () => {
  const result = await runAlone([executable, "throw"], { ...newHome(), NO_COLOR: "1" });
  assert.equal(result.code, 1);
  assert.match(
    result.stderr,
    /Error: Thrown by the probe[^]* at throwError \(datalad-slurm\/probe\.js\b/,
  );
});

Deno.test("the program takes the launcher's place, so that signals reach it", async () => {
  const env = newHome();
  // Not through `run`, which cannot send a signal.
  const child = new Deno.Command(executable, {
    args: ["wait"],
    clearEnv: true,
    env,
    stdout: "piped",
  }).spawn();
  let output = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += chunk;
    if (/^\d+\n$/.test(output)) Deno.kill(Number(output), "SIGTERM");
  }
  assert.equal(output, `${child.pid}\nSIGTERM\n`);
  assert.equal((await child.status).code, 9);
});

Deno.test("the end of a process can be told, for the locks of dead ones to be broken", async () => {
  const child = new Deno.Command("true").spawn();
  const { pid } = child;
  const identity = { ...ownIdentity(), pid, startTime: "1" };
  await child.status;
  const dead = await runAlone([executable, "ending", JSON.stringify(identity)], newHome());
  assert.equal(text(dead.stdout), "gone\n");
  const alive = await runAlone([executable, "ending", JSON.stringify(ownIdentity())], newHome());
  assert.equal(text(alive.stdout), "unknown\n");
});

Deno.test("DATALAD_SLURM_CACHE_DIR and XDG_CACHE_HOME say where to unpack", async () => {
  const env = newHome();
  const chosen = `${newDirectory()}/a/b`;
  told(await runAlone([executable], { ...env, XDG_CACHE_HOME: chosen }));
  assertIntact(`${chosen}/datalad-slurm`);
  told(await runAlone([executable], { ...env, DATALAD_SLURM_CACHE_DIR: chosen }));
  assert.equal(cachedFiles(chosen).length, 4);
  assert.deepEqual([...Deno.readDirSync(env.HOME)], []);
});

Deno.test("a chosen cache directory that is a file is an error that names it", async () => {
  const chosen = `${newDirectory()}/file`;
  Deno.writeTextFileSync(chosen, "");
  const result = await runAlone([executable], { ...newHome(), DATALAD_SLURM_CACHE_DIR: chosen });
  assert.equal(result.code, 1);
  assert(result.stderr.startsWith(`Error: Cache directory "${chosen}" cannot be written to`));
  assert.match(result.stderr, /\nHint: Set DATALAD_SLURM_CACHE_DIR to another directory\n$/);
});

Deno.test({
  name: "another user without a home and with an empty PATH runs a copy alone in a directory",
  ignore: !isRoot,
  async fn() {
    const copy = `${newDirectory()}/datalad-slurm`;
    Deno.copyFileSync(executable, copy);
    await asNobody(async (argv) => {
      const closed = newDirectory();
      Deno.mkdirSync(cacheIn({ HOME: closed }), { recursive: true });
      for (const HOME of ["/nonexistent", newDirectory(0o555), closed, ""]) {
        const env = { HOME, PATH: newDirectory() };
        assert.deepEqual(told(await runAlone([...argv, copy, "x"], env)).args, ["x"]);
      }
      told(await runAlone([...argv, copy], {}));
      assertIntact(fallback);
      assert.equal((Deno.statSync(fallback).mode ?? 0) & 0o777, 0o700);
    });
  },
});

Deno.test({
  name: "a fallback directory of somebody else's is refused",
  ignore: !isRoot,
  async fn() {
    await asNobody(async (argv) => {
      Deno.mkdirSync(fallback);
      Deno.chmodSync(fallback, 0o777);
      const result = await runAlone([...argv, executable], {});
      assert.equal(result.code, 1);
      assert(
        result.stderr.startsWith(`Error: Cache directory "${fallback}" does not belong to you`),
      );
      assert.deepEqual(cachedFiles(fallback), []);
    });
  },
});

const fallback = `/tmp/datalad-slurm-${nobody}`;

/** Lends the argv that runs a program as the user nobody, whose fallback directory is not there. */
async function asNobody(work: (argv: readonly string[]) => Promise<void>): Promise<void> {
  const remove = () => Deno.remove(fallback, { recursive: true }).catch(() => {});
  await remove();
  try {
    await work(["/usr/bin/setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"]);
  } finally {
    await remove();
  }
}

Deno.test({
  name: "a noexec cache directory is an error that names it and the override",
  ignore: !isRoot,
  async fn() {
    await withMount("size=200m,noexec", async (dir) => {
      const result = await runAlone([executable], { ...newHome(), XDG_CACHE_HOME: dir });
      assert.equal(result.code, 1);
      assert(result.stderr.includes(`"${dir}/datalad-slurm"`));
      assert.match(result.stderr, /noexec[^]*\nHint: Set DATALAD_SLURM_CACHE_DIR /);
      assert.deepEqual(
        cachedFiles(`${dir}/datalad-slurm`).filter((name) => /^deno|unpacking/.test(name)),
        [],
      );
    });
  },
});

Deno.test({
  name: "a full cache directory is an error that names it and the override",
  ignore: !isRoot,
  async fn() {
    await withMount("size=1m", async (dir) => {
      const result = await runAlone([executable], { ...newHome(), DATALAD_SLURM_CACHE_DIR: dir });
      assert.equal(result.code, 1);
      assert(result.stderr.startsWith(`Error: Cannot unpack into cache directory "${dir}"`));
      assert.match(result.stderr, /No space left[^]*\nHint: Set DATALAD_SLURM_CACHE_DIR /);
      assert.deepEqual(cachedFiles(dir).filter((name) => /^deno|unpacking/.test(name)), []);
    });
  },
});

/** Lends a new file system in memory with these mount options. */
async function withMount(options: string, work: (dir: string) => Promise<void>): Promise<void> {
  const dir = newDirectory();
  const mounted = await run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", dir]);
  assert.equal(mounted.code, 0, mounted.stderr);
  try {
    await work(dir);
  } finally {
    await run(["umount", "--lazy", dir]);
  }
}
