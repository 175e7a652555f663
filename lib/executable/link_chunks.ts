/**
 * The program of the self-extracting executable: the chunks that the bundler splits the modules
 * into, in one text, of which a start evaluates only those that it needs. Deno parses every module
 * at each start to find its imports unless it may keep the answer in a database; a script goes to
 * the engine as it is, which saves 15 ms for 160 KB (2.9.6). And what is not evaluated costs next
 * to nothing, whatever commands there are besides the one that is called.
 */

/**
 * Returns the program of some chunks, by file name: a first line with a table of names, offsets and
 * lengths, and behind it one script a chunk. Throws a SyntaxError when a chunk has not the form
 * that the bundler gives it (esbuild in Deno 2.9.6), and when an exported variable may change: its
 * importers have what it was.
 */
export function linkChunks(chunks: ReadonlyMap<string, string>): string {
  const table: Record<string, [number, number]> = {};
  let scripts = "";
  for (const [name, text] of chunks) {
    const script = asScript(name, text, chunks);
    table[name] = [scripts.length, script.length];
    scripts += script;
  }
  return `${JSON.stringify(table)}\n${scripts}`;
}

/** Returns the module that evaluates a chunk of a program in a file beside it. */
export function loaderText(program: string, entry: string): string {
  return `const text = Deno.readTextFileSync(new URL(${JSON.stringify(program)}, import.meta.url));
const start = text.indexOf("\\n") + 1;
const table = JSON.parse(text.slice(0, start));
const loaded = {};
const load = (name) => loaded[name] ??= (0, eval)(
  text.substr(start + table[name][0], table[name][1])
)(load);
await load(${JSON.stringify(entry)});
`;
}

const IMPORT = /^import (?:\{([^}]*)\} from )?"\.\/([^"]+)";$/gm;
const EXPORT = /^export \{([^}]*)\};$/gm;
const LATER = /\bimport\("\.\/([^"]+)"\)/g;

function asScript(name: string, text: string, chunks: ReadonlyMap<string, string>): string {
  const exported: string[] = [];
  const body = text
    .replace(IMPORT, (whole, names: string | undefined, from: string) => {
      if (!chunks.has(from)) throw new SyntaxError(`${name} imports what is no chunk: ${whole}`);
      const load = `load(${JSON.stringify(from)})`;
      return names === undefined ? `${load};` : `const {${renamed(names)}} = ${load};`;
    })
    .replace(EXPORT, (_, names: string) => {
      exported.push(...parts(names));
      return "";
    })
    .replace(LATER, (whole, from: string) =>
      // A text may look like an import; the chunks' names hold a hash, though.
      chunks.has(from) ? `Promise.resolve().then(() => load(${JSON.stringify(from)}))` : whole);
  const odd = /^(?:import|export)\b(?!\()[^\n]*/m.exec(body);
  if (odd !== null) throw new SyntaxError(`${name} has a form that is not known: ${odd[0]}`);
  for (const own of exported) requireConstant(name, body, own.split(" as ")[0] ?? "");
  const result = exported.map((one) => {
    const [own, alias = own] = one.split(" as ");
    return `${alias}: ${own}`;
  });
  // Only the entry waits, and nobody imports that.
  const kind = exported.length === 0 ? "async (load) =>" : "(load) =>";
  const script = `(${kind} {"use strict";\n${body}\nreturn {${result.join(", ")}};\n})\n` +
    `//# sourceURL=datalad-slurm/${name}\n`;
  // Compiled only, to see that it can be.
  new Function(script);
  return script;
}

/** Returns the names between the braces of an import or export. */
function parts(names: string): string[] {
  return names.split(",").map((name) => name.trim()).filter((name) => name !== "");
}

function renamed(names: string): string {
  return parts(names).map((name) => name.replace(" as ", ": ")).join(", ");
}

function requireConstant(chunk: string, body: string, name: string): void {
  const isVariable = new RegExp(`^(?:var|let) ${escaped(name)}\\b`, "m").test(body);
  const changes = new RegExp(
    `(?<![\\w$.])${escaped(name)}\\s*(?:(?:[-+*/%&|^]|\\|\\||&&|\\?\\?)?=(?![=>])|\\+\\+|--)`,
    "g",
  );
  if (!isVariable || [...body.matchAll(changes)].length <= 1) return;
  throw new SyntaxError(`${chunk} exports the variable ${name}, which may change`);
}

function escaped(name: string): string {
  return name.replaceAll("$", "\\$");
}
