import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);

/** A source file of the program, without its build scripts, and what it imports. */
interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

/** Which directories of `lib/` the files of each may import, besides their own. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  paths: [],
  files: [],
  process: ["errors", "paths", "files"],
  record: ["errors", "paths"],
  executable: ["errors", "paths", "files"],
  git: ["process", "record", "errors", "paths", "files"],
  slurm: ["process", "record", "errors", "paths", "files"],
  store: ["process", "record", "errors", "paths", "files"],
  dataset: ["git", "slurm", "store", "process", "record", "errors", "paths", "files"],
  commands: ["dataset", "git", "slurm", "store", "process", "record", "errors", "paths", "files"],
  cli: [
    "commands",
    "dataset",
    "git",
    "slurm",
    "store",
    "process",
    "record",
    "errors",
    "paths",
    "files",
    "executable",
  ],
  main: ["cli", "executable"],
};

/** The files of lib/slurm that ask; all others only build argv and parse. */
const ASKING =
  /^lib\/slurm\/(?:ask|query|accounting|recover|show_job|find_in_queue|local\/.*)\.ts$/;

function* filesBelow(directory: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(directory, root))) {
    const path = `${directory}${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(`${path}/`);
    else if (path.endsWith(".ts")) yield path;
  }
}

function readSources(): Source[] {
  const paths = ["main.ts", ...filesBelow("lib/")];
  return paths.filter((path) => !/^lib\/executable\/build[^/]*\.ts$/.test(path) || isInfo(path))
    .map((path) => {
      const text = withoutComments(Deno.readTextFileSync(new URL(path, root)));
      return { path, text, imports: importsOf(text) };
    });
}

/** What the build writes into the program is part of it. */
function isInfo(path: string): boolean {
  return path === "lib/executable/build_info.ts";
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\//g, "").replace(/(?<=^|\s)\/\/.*$/gm, "");
}

function importsOf(text: string): string[] {
  return [
    /^import\s+(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']/gm,
    /^export\s+(?:type\s+)?(?:\*[^"';]*?|\{[^}]*\})\s*from\s+["']([^"']+)["']/gm,
    /\bimport\(\s*["']([^"']+)["']/g,
  ].flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? ""));
}

/** Returns the layer of a file: the directory below `lib/`, or the name of a file right there. */
function layerOf(path: string): string {
  if (path === "main.ts") return "main";
  return /^lib\/([^/.]+)/.exec(path)?.[1] ?? path;
}

/** Returns the violations of a source file, as sentences. */
export function violationsOf({ path, text, imports }: Source): string[] {
  const found: string[] = [];
  const layer = layerOf(path);
  const allowed = ALLOWED[layer];
  if (allowed === undefined) found.push(`${path} is in no known layer`);
  for (const specifier of imports) {
    if (specifier.startsWith(".")) {
      const target = new URL(specifier, new URL(path, root)).href.slice(root.href.length);
      if (target === "deno.json" && layer === "executable") continue;
      if (target.startsWith("doc/") && layer === "cli") continue;
      const below = layerOf(target);
      if (below !== layer && allowed?.includes(below) !== true) {
        found.push(`${path} imports ${target}`);
      }
    } else if (specifier !== "zod/mini") {
      found.push(`${path} imports ${specifier}`);
    }
  }
  const isPure = layer === "record" || layer === "errors" || layer === "paths" ||
    layer === "slurm" && !ASKING.test(path);
  if (isPure && /\bDeno\./.test(text)) found.push(`${path} uses Deno`);
  if (layer !== "process" && /\bDeno\.Command\b/.test(text)) found.push(`${path} starts programs`);
  // A second signal ends the program where it is.
  const mayExit = layer === "main" || path === "lib/process/interruption.ts";
  if (!mayExit && /\bDeno\.(?:args|exit|exitCode)\b/.test(text)) {
    found.push(`${path} uses Deno.args or Deno.exit`);
  }
  return found;
}

Deno.test("imports run downwards only, and each layer keeps to its own means", () => {
  const sources = readSources();
  assert(sources.length > 50, "The sources were not found");
  assert(sources.some(({ imports }) => imports.length > 5), "The imports were not found");
  assert.deepEqual(sources.flatMap(violationsOf), []);
});

Deno.test("each kind of violation is noticed", () => {
  const cases: [string, string, string][] = [
    ["lib/git/a.ts", 'import { b } from "../store/b.ts";', "lib/git/a.ts imports lib/store/b.ts"],
    [
      "lib/store/a.ts",
      'import type { b } from "../slurm/b.ts";',
      "lib/store/a.ts imports lib/slurm/b.ts",
    ],
    ["lib/record/a.ts", 'export * from "../git/b.ts";', "lib/record/a.ts imports lib/git/b.ts"],
    [
      "lib/git/a.ts",
      'import {\n  b,\n  c,\n} from "../commands/b.ts";',
      "lib/git/a.ts imports lib/commands/b.ts",
    ],
    ["lib/dataset/a.ts", 'await import("../cli/b.ts");', "lib/dataset/a.ts imports lib/cli/b.ts"],
    [
      "lib/commands/a.ts",
      'import "../executable/b.ts";',
      "lib/commands/a.ts imports lib/executable/b.ts",
    ],
    ["main.ts", 'import { b } from "./lib/git/b.ts";', "main.ts imports lib/git/b.ts"],
    ["lib/cli/a.ts", 'import { b } from "node:fs";', "lib/cli/a.ts imports node:fs"],
    ["lib/other/a.ts", "", "lib/other/a.ts is in no known layer"],
    ["lib/record/a.ts", "Deno.cwd();", "lib/record/a.ts uses Deno"],
    ["lib/slurm/sacct.ts", "Deno.env.get('A');", "lib/slurm/sacct.ts uses Deno"],
    ["lib/git/a.ts", "new Deno.Command('git');", "lib/git/a.ts starts programs"],
    ["lib/cli/a.ts", "Deno.exit(1);", "lib/cli/a.ts uses Deno.args or Deno.exit"],
  ];
  for (const [path, source, violation] of cases) {
    const text = withoutComments(source);
    assert.deepEqual(violationsOf({ path, text, imports: importsOf(text) }), [violation]);
  }
  const fine = '// Deno.args\n/** Deno.exit */\nimport * as z from "zod/mini";';
  const text = withoutComments(fine);
  assert.deepEqual(violationsOf({ path: "lib/record/a.ts", text, imports: importsOf(text) }), []);
});
