import assert from "node:assert/strict";
import { allCommands } from "../../lib/cli/commands.ts";
import { type Ran, runProgram } from "../support/scratch.ts";
import { linkTool } from "../support/tool.ts";

const commands = await allCommands();

const root = new URL("../../", import.meta.url).pathname;

/** Where it is installed; a name without spaces, with which Lmod 8.6 cannot load a Tcl modulefile. */
let workspace = "";
let prefix = "";

Deno.test.beforeAll(async () => {
  workspace = await Deno.makeTempDir({ prefix: "install_test" });
  prefix = `${workspace}/opt/datalad-slurm`;
  await Deno.mkdir(`${workspace}/home`);
  // The layout of what `make install` builds first; a script stands for the executable.
  await Deno.mkdir(`${workspace}/dist`);
  await linkTool(`${workspace}/dist/datalad-slurm`);
  const build = `${root}lib/executable/build_share.ts`;
  await succeed([Deno.execPath(), "run", "-A", "--quiet", build, `${workspace}/dist/share`], {
    DENO_DIR: Deno.env.get("DENO_DIR") ?? "",
  });
  await succeed([`${root}lib/executable/install.sh`, "install", prefix]);
});

Deno.test.afterAll(async () => {
  await Deno.remove(workspace, { recursive: true });
});

async function run(argv: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  return await runProgram(argv, {
    cwd: workspace,
    env: {
      PATH: "/usr/bin:/bin",
      HOME: `${workspace}/home`,
      LC_ALL: "C.UTF-8",
      ...env,
    },
  });
}

async function succeed(argv: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await run(argv, env);
  assert.equal(code, 0, `${argv.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

function filesBelow(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${directory}/${name}`) : [`${directory}/${name}`]
  ).sort();
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

const shownCommands = commands.filter(({ hidden }) => hidden !== true);

Deno.test("install lays out the executable, man pages, completions and a modulefile", () => {
  const files = filesBelow(prefix).map((path) => path.slice(prefix.length + 1));
  for (const { name } of shownCommands) {
    assert(files.includes(`share/man/man1/datalad-slurm-${name}.1`), name);
  }
  for (
    const file of [
      "bin/datalad-slurm",
      "share/bash-completion/completions/datalad-slurm",
      "share/fish/vendor_completions.d/datalad-slurm.fish",
      "share/man/man1/datalad-slurm.1",
      "share/man/man5/datalad-slurm-config.5",
      "share/man/man7/datalad-slurm-guide.7",
      "share/zsh/site-functions/_datalad-slurm",
    ]
  ) assert(files.includes(file), file);
  assert.equal(
    files.filter((file) => file.startsWith("share/modulefiles/datalad-slurm/")).length,
    1,
  );
});

Deno.test("DESTDIR is in front of what is written, and in no file", async () => {
  const stage = `${workspace}/stage`;
  const script = `${root}lib/executable/install.sh`;
  await succeed([script, "install", "/opt/with space's", stage]);
  const target = `${stage}/opt/with space's`;
  const [modulefile = ""] = filesBelow(`${target}/share/modulefiles`);
  assert.match(await Deno.readTextFile(modulefile), /^set prefix \{\/opt\/with space's\}$/m);
  await succeed([script, "uninstall", "/opt/with space's", stage]);
  assert.deepEqual(filesBelow(stage), []);
});

Deno.test("uninstall takes the directories along that it leaves empty, and no others", async () => {
  const script = `${root}lib/executable/install.sh`;
  const place = `${workspace}/place`;
  await succeed([script, "install", place]);
  await Deno.writeTextFile(`${place}/share/man/man1/other.1`, "");
  await succeed([script, "uninstall", place]);
  const left = (await succeed(["find", place])).trimEnd().split("\n").sort();
  const kept = ["", "/share", "/share/man", "/share/man/man1", "/share/man/man1/other.1"];
  assert.deepEqual(left, kept.map((path) => `${place}${path}`));
});

Deno.test("what is installed is what the executable prints", async () => {
  const tool = `${prefix}/bin/datalad-slurm`;
  const cases: [string[], string][] = [
    [["help", "--man"], "man/man1/datalad-slurm.1"],
    [["help", "--man", "finish"], "man/man1/datalad-slurm-finish.1"],
    [["help", "--man", "guide"], "man/man7/datalad-slurm-guide.7"],
    [["help", "--man", "config"], "man/man5/datalad-slurm-config.5"],
    [["completion", "bash"], "bash-completion/completions/datalad-slurm"],
    [["completion", "zsh"], "zsh/site-functions/_datalad-slurm"],
    [["completion", "fish"], "fish/vendor_completions.d/datalad-slurm.fish"],
  ];
  for (const [words, file] of cases) {
    assert.equal(
      await succeed([tool, ...words]),
      await Deno.readTextFile(`${prefix}/share/${file}`),
    );
  }
  assert.equal((await run([tool, "help", "nothing"])).code, 2);
});

Deno.test({
  name: "man shows every page without a warning, with the options of --help",
  ignore: !isThere("/usr/bin/man"),
  async fn() {
    const env = { MANWIDTH: "80", MANROFFOPT: "-ww", MAN_KEEP_FORMATTING: "", TERM: "dumb" };
    for (const page of filesBelow(`${prefix}/share/man`)) {
      const { code, stdout, stderr } = await run(["man", "--warnings", "-l", page], env);
      assert.equal(code, 0, page);
      assert.equal(stderr, "", page);
      // Without what makes letters bold on a terminal.
      // deno-lint-ignore no-control-regex
      const text = stdout.replace(/.\x08|\x1b\[[\d;]*m/g, "");
      // Words are copied from here: none is hyphenated. Lists are filled like other text.
      assert.doesNotMatch(text, /(?!slurm)\b[a-z]+[-\u2010]\n/, page);
      assert.doesNotMatch(text, /^ {10}[a-z]+ .*[a-z] {3}[a-z]/m, page);
      const command = shownCommands.find(({ name }) => page.endsWith(`/datalad-slurm-${name}.1`));
      for (const { name, value } of command?.options ?? []) {
        assert(text.includes(`--${name}`), `${page}: --${name}`);
        if (value !== undefined) assert(text.includes(value), `${page}: ${value}`);
      }
    }
  },
});

Deno.test({
  name: "mandoc has nothing to complain about",
  ignore: !isThere("/usr/bin/mandoc"),
  async fn() {
    for (const page of filesBelow(`${prefix}/share/man`)) {
      const { stdout, stderr } = await run(["mandoc", "-T", "lint", "-W", "warning", page]);
      const complaints = `${stdout}${stderr}`.split("\n").filter((line) =>
        // A page is made by the executable and bears its version.
        line !== "" && !line.includes("missing date")
      );
      assert.deepEqual(complaints, []);
    }
  },
});

/** What starts a module system in a shell. */
const systems: Readonly<Record<string, string | undefined>> = {
  "Environment Modules": [
    "/usr/share/modules/init/bash",
    ...modulecmds(),
  ].filter(isThere).map((path) =>
    path.endsWith(".tcl") ? `eval "$('${path}' bash autoinit)"` : `. ${path}`
  )[0],
  "Lmod": isThere("/usr/share/lmod/lmod/init/bash")
    ? ". /usr/share/lmod/lmod/init/bash"
    : undefined,
};

/** Where debian_packages.sh has unpacked the package. */
function modulecmds(): string[] {
  try {
    const lib = `${root}.toolchain/environment-modules/usr/lib`;
    return [...Deno.readDirSync(lib)].map(({ name }) => `${lib}/${name}/modulecmd.tcl`);
  } catch {
    return [];
  }
}

const PROBE = `
module use "$1"
module load datalad-slurm || exit 1
command -v datalad-slurm
man -w datalad-slurm-finish
man -w git | head -n 1 | grep . || echo none
printf '%s\\n' "$XDG_DATA_DIRS" "\${MANPATH-none}"
if [ -r /usr/share/bash-completion/bash_completion ]; then
    . /usr/share/bash-completion/bash_completion
    _completion_loader datalad-slurm
fi
complete -p datalad-slurm
module unload datalad-slurm
command -v datalad-slurm || echo gone
printf '%s\\n' "$XDG_DATA_DIRS" "\${MANPATH-none}"
`;

for (const [system, start] of Object.entries(systems)) {
  Deno.test({
    name: `the modulefile in ${system}`,
    ignore: start === undefined,
    async fn() {
      await Deno.mkdir(`${workspace}/man/man1`, { recursive: true });
      const probe = (env: Record<string, string>) =>
        succeed([
          "bash",
          "--noprofile",
          "--norc",
          "-c",
          `${start}\n${PROBE}`,
          "probe",
          `${prefix}/share/modulefiles`,
        ], env);
      const share = `${prefix}/share`;
      const page = `${share}/man/man1/datalad-slurm-finish.1`;
      const [binary, own, gits, data, manPath, completion, gone, dataAfter, manPathAfter] =
        (await probe({})).trimEnd().split("\n");
      assert.equal(binary, `${prefix}/bin/datalad-slurm`);
      assert.equal(own, page);
      // Some machines are installed without man pages.
      if (isThere("/usr/share/man/man1/git.1.gz")) {
        assert.match(gits ?? "", /git\.1/, "Other pages are hidden");
      }
      assert.equal(data, `${share}:/usr/local/share:/usr/share`);
      assert.equal(manPath, "none");
      if (isThere("/usr/share/bash-completion/bash_completion")) {
        assert.equal(completion, "complete -o default -F _datalad_slurm datalad-slurm");
      }
      assert.equal(gone, "gone");
      assert.equal(dataAfter, "/usr/local/share:/usr/share");
      assert.equal(manPathAfter, "none");

      const set = (await probe({ MANPATH: `/usr/share/man`, XDG_DATA_DIRS: "/opt/share" }))
        .trimEnd().split("\n");
      assert.equal(set[1], page);
      assert.equal(set[3], `${share}:/opt/share`);
      assert.equal(set[4], `${share}/man:/usr/share/man`);
      assert.deepEqual(set.slice(-2), ["/opt/share", "/usr/share/man"]);
    },
  });
}
