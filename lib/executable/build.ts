/**
 * Builds the executable: `build.ts OUTPUT [MAIN]`. With a `denort` that `DENORT_BIN` names it is
 * compiled, else it is self-extracting and carries the deno that runs this script.
 */
import { ToolError } from "../errors.ts";
import { externalError, run, text } from "../process/run.ts";
import { permissionFlags } from "./flags.ts";
import { linkChunks, loaderText } from "./link_chunks.ts";
import { type Program, selfExtracting } from "./self_extracting.ts";

const root = new URL("../../", import.meta.url).pathname;

/** Builds the executable from `main` at `output` and returns which kind it is. */
export async function build(output: string, main: string): Promise<string> {
  const denort = Deno.env.get("DENORT_BIN");
  const kind = denort ? "compiled" : "self-extracting";
  const commit = await currentCommit();
  const work = await Deno.makeTempDir();
  try {
    const made = `${work}/datalad-slurm`;
    if (kind === "compiled") {
      const source = `${work}/main.js`;
      await bundle(["--output", source, main]);
      await Deno.writeTextFile(source, await filledIn(source, commit, kind));
      await deno(
        ["compile", "--quiet", "--no-config", ...permissionFlags, "--output", made, source],
        "The program cannot be compiled",
      );
    } else {
      const program = await bundledProgram(
        main,
        `${work}/chunks`,
        (file) => filledIn(file, commit, kind),
      );
      const runtime = await Deno.readFile(Deno.execPath());
      await Deno.writeFile(made, await selfExtracting(runtime, program));
    }
    await Deno.chmod(made, 0o755);
    await install(made, output);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return kind;
}

/**
 * Writes the program as the executable has it into a directory, without the runtime, and returns the
 * path of what deno runs. It says of itself what the source says, and starts in two thirds of the time.
 */
export async function buildProgram(directory: string): Promise<string> {
  const { chunks, entry } = await bundledProgram(
    `${root}main.ts`,
    `${directory}/chunks`,
    Deno.readTextFile,
  );
  const { bytes, table } = linkChunks(chunks);
  await Deno.writeFile(`${directory}/program.js`, bytes);
  const loader = `${directory}/datalad-slurm.js`;
  await Deno.writeTextFile(loader, loaderText("program.js", table, entry));
  return loader;
}

/** Returns the chunks that the bundler makes of a program, in a directory, each as it is read. */
async function bundledProgram(
  main: string,
  directory: string,
  read: (file: string) => Promise<string>,
): Promise<Program> {
  await bundle(["--code-splitting", "--outdir", directory, main]);
  const chunks = new Map<string, string>();
  for (const name of [...Deno.readDirSync(directory)].map(({ name }) => name).sort()) {
    chunks.set(name, await read(`${directory}/${name}`));
  }
  return { chunks, entry: main.slice(main.lastIndexOf("/") + 1).replace(/\.ts$/, ".js") };
}

/** Bundles the program and all it imports. */
async function bundle(args: readonly string[]): Promise<void> {
  // Not minified: that gains 1.5 ms of 25 at the start, and stack traces lose their names.
  await deno(
    ["bundle", "--quiet", "--platform=deno", ...args],
    "The program cannot be bundled",
  );
}

/** Returns a bundled file with what is known of the build. */
async function filledIn(file: string, commit: string, kind: string): Promise<string> {
  const program = await Deno.readTextFile(file);
  return program
    // With one character above Latin-1 the whole source takes two bytes a character in V8.
    // deno-lint-ignore no-control-regex
    .replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replaceAll("@BUILD_COMMIT@", commit)
    .replaceAll("@BUILD_KIND@", kind);
}

async function deno(args: readonly string[], message: string): Promise<void> {
  const result = await run([Deno.execPath(), ...args], { cwd: root });
  if (result.code !== 0) throw externalError(result, message);
}

async function currentCommit(): Promise<string> {
  // A checkout without git or without a commit can be built as well.
  try {
    const result = await run([
      "git",
      "describe",
      "--always",
      "--abbrev=40",
      "--dirty",
      "--exclude=*",
    ], {
      cwd: root,
    });
    return result.code === 0 ? text(result.stdout).trim() : "";
  } catch (error) {
    if (error instanceof ToolError) return "";
    throw error;
  }
}

/** Puts a file in its place at once: a process that runs the old one is not disturbed. */
async function install(file: string, output: string): Promise<void> {
  const dir = output.includes("/") ? output.slice(0, output.lastIndexOf("/")) || "/" : ".";
  await Deno.mkdir(dir, { recursive: true });
  const beside = `${output}.new`;
  await Deno.copyFile(file, beside);
  await Deno.rename(beside, output);
}

if (import.meta.main) {
  const [output = "dist/datalad-slurm", main = `${root}main.ts`] = Deno.args;
  try {
    const kind = await build(output, main);
    const { size } = await Deno.stat(output);
    console.log(`Built "${output}": ${kind}, ${(size / 1e6).toFixed(0)} MB`);
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error([`Error: ${error.message}`, error.details].join("\n"));
    Deno.exitCode = 1;
  }
}
