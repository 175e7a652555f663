import { cksum } from "./cksum.ts";
import { linkChunks, loaderText } from "./link_chunks.ts";
import { runFlags, runtimeVariables } from "./flags.ts";

/** Of the launcher's `dd`. */
const blockSize = 65_536;

/** What `touch -t 200109090146.40` in UTC sets; a file that is written to later has another. */
const unpackedTime = 1_000_000_000;

interface Part {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const encoder = new TextEncoder();

/** The bundler names the chunk of the entry after its module. */
export interface Program {
  readonly chunks: ReadonlyMap<string, string>;
  readonly entry: string;
}

/**
 * Returns a self-extracting executable: the launcher, and behind it the runtime (a deno binary), the
 * program and its loader, each at the start of a block of 64 KiB.
 */
export async function selfExtracting(
  runtime: Uint8Array,
  { chunks, entry }: Program,
): Promise<Uint8Array> {
  const { bytes: program, table } = linkChunks(chunks);
  const loader = encoder.encode(loaderText("", table, entry));
  const hash = await shortHash(concatenated([loader, program]));
  const parts: Part[] = [
    { name: `deno-${await shortHash(runtime)}`, bytes: runtime },
    {
      name: `loader-${hash}.js`,
      bytes: encoder.encode(loaderText(`program-${hash}.js`, table, entry)),
    },
    { name: `program-${hash}.js`, bytes: program },
  ];
  const template = await Deno.readTextFile(new URL("launcher.sh", import.meta.url));
  const launcher = padded(encoder.encode(launcherText(template, parts)), 0x0a);
  return concatenated([launcher, ...parts.map(({ bytes }) => padded(bytes, 0))]);
}

function launcherText(template: string, parts: readonly Part[]): string {
  const [runtime, loader, program] = parts.map(({ name }) => name);
  // The launcher is one block: the parts follow it.
  let first = 1;
  const files = parts.map(({ name, bytes }) => {
    const blocks = Math.ceil(bytes.length / blockSize);
    const line = `${name} ${first} ${blocks} ${cksum(bytes)} ${bytes.length}`;
    first += blocks;
    return line;
  });
  const values: Readonly<Record<string, string | undefined>> = {
    EXPECTED: parts.map(({ bytes }) => `${bytes.length} ${unpackedTime}`).join("\n"),
    FILES: files.join("\n"),
    FLAGS: runFlags.join(" "),
    LOADER: loader,
    PROGRAM: program,
    RUNTIME: runtime,
    VARIABLES: runtimeVariables.join(" "),
  };
  const text = template.replace(/@([A-Z]+)@/g, (whole, name: string) => values[name] ?? whole);
  if (encoder.encode(text).length > blockSize) throw new RangeError("The launcher is too long");
  return text;
}

async function shortHash(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return new Uint8Array(digest).toHex().slice(0, 16);
}

function padded(bytes: Uint8Array, filler: number): Uint8Array {
  const result = new Uint8Array(Math.ceil(bytes.length / blockSize) * blockSize).fill(filler);
  result.set(bytes);
  return result;
}

function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of pieces) {
    result.set(piece, offset);
    offset += piece.length;
  }
  return result;
}
