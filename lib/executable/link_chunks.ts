/**
 * The program of the self-extracting executable: the chunks that the bundler splits the modules
 * into, in one file, of which a start reads and evaluates only those that it needs. Deno parses
 * every module at each start to find its imports unless it may keep the answer in a database; a
 * script goes to the engine as it is, which saves 15 ms for 160 KB (2.9.6). And what is not evaluated costs next
 * to nothing, whatever commands there are besides the one that is called.
 */

/** Chunks as scripts, one behind the other. */
export interface LinkedProgram {
  readonly bytes: Uint8Array;
  /** The offset and the length of each script in bytes, by the chunk's file name. */
  readonly table: Readonly<Record<string, readonly [number, number]>>;
}

const encoder = new TextEncoder();

/**
 * Returns the program of some chunks, by file name. Throws a SyntaxError when a chunk has not the form
 * that the bundler gives it (esbuild in Deno 2.9.6), and when an exported variable may change: its
 * importers have what it was.
 */
export function linkChunks(chunks: ReadonlyMap<string, string>): LinkedProgram {
  const table: Record<string, [number, number]> = {};
  let scripts = "";
  let offset = 0;
  for (const [name, text] of chunks) {
    const script = asScript(name, text, chunks);
    const { length } = encoder.encode(script);
    table[name] = [offset, length];
    scripts += script;
    offset += length;
  }
  return { bytes: encoder.encode(scripts), table };
}

/** Returns the module that evaluates a chunk of a program in a file beside it. */
export function loaderText(
  program: string,
  table: LinkedProgram["table"],
  entry: string,
): string {
  return `const file = Deno.openSync(new URL(${JSON.stringify(program)}, import.meta.url));
const decoder = new TextDecoder();
const table = ${JSON.stringify(table)};
const read = ([offset, length]) => {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, 0);
  for (let end = 0; end < length;) {
    const count = file.readSync(bytes.subarray(end));
    if (!count) throw new Error(${JSON.stringify(`${program} is damaged`)});
    end += count;
  }
  return decoder.decode(bytes);
};
const loaded = {};
const load = (name) => loaded[name] ??= (0, eval)(read(table[name]))(load);
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
