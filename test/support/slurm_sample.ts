/** One recorded call of a Slurm program. */
export interface Sample {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

const FOLDER = new URL("../../fixtures/slurm/", import.meta.url);

/** Returns the names of all samples, without `.txt`. */
export function sampleNames(): string[] {
  return [...Deno.readDirSync(FOLDER)]
    .map(({ name }) => name)
    .filter((name) => name.endsWith(".txt"))
    .map((name) => name.slice(0, -".txt".length))
    .sort();
}

/** Returns a sample; one that holds nothing but stdout counts as exit 0. */
export function readSample(name: string): Sample {
  const text = Deno.readTextFileSync(new URL(`${name}.txt`, FOLDER));
  const match = /^\$ [^]*?\n--stdout--\n([^]*?)--stderr--\n([^]*?)--exit-- (\d+)\n?$/.exec(text);
  if (match === null) return { stdout: text, stderr: "", code: 0 };
  return { stdout: match[1] ?? "", stderr: match[2] ?? "", code: Number(match[3]) };
}

/** Returns the rows of a sample of sacct's with a header and `|`, by column name. */
export function sampleRows(name: string): Record<string, string>[] {
  const [header, ...lines] = readSample(name).stdout.trimEnd().split("\n");
  const columns = header?.split("|") ?? [];
  return lines.map((line) =>
    Object.fromEntries(line.split("|").map((value, at) => [columns[at] ?? "", value]))
  );
}
