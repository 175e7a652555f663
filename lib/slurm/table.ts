/** The delimiter that is asked for: a control character that no name of Slurm's own holds. */
export const DELIMITER = "\x1f";

/** One row of a table, by column name. */
export type TableRow = Readonly<Record<string, string>>;

/**
 * Yields the rows of headerless output of sacct or squeue with the given columns. Slurm escapes
 * nothing, so lines are joined until a row has all its delimiters: text with newlines is read
 * right as long as the first and the last column have none. Lines before a row that are none (a
 * site's banner, the `CLUSTER: name` of squeue) are dropped with the first column, rows with more
 * delimiters than columns are left out. Of an array of many tasks the rows take more memory than the
 * text: hence one after the other.
 */
export function* tableRows(
  stdout: string,
  columns: readonly string[],
  delimiter: string = DELIMITER,
): Generator<TableRow, undefined> {
  let pending: string | undefined;
  for (let start = 0; start < stdout.length;) {
    const end = stdout.indexOf("\n", start);
    const line = stdout.slice(start, end < 0 ? undefined : end);
    start = end < 0 ? stdout.length : end + 1;
    const joined: string = pending === undefined ? line : `${pending}\n${line}`;
    const values = joined.split(delimiter);
    pending = values.length < columns.length ? joined : undefined;
    if (values.length !== columns.length) continue;
    values[0] = values[0]?.split("\n").at(-1) ?? "";
    yield Object.fromEntries(columns.map((column, at) => [column, values[at] ?? ""]));
  }
}

/** Returns the rows of {@link tableRows} all together. */
export function parseTable(
  stdout: string,
  columns: readonly string[],
  delimiter: string = DELIMITER,
): TableRow[] {
  return [...tableRows(stdout, columns, delimiter)];
}
