/** The delimiter that is asked for: a control character that no name of Slurm's own holds. */
export const DELIMITER = "\x1f";

/** One row of a table, by column name. */
export type TableRow = Readonly<Record<string, string>>;

/**
 * Reads headerless output of sacct or squeue as it comes, and hands over each row. Slurm escapes
 * nothing, so lines are joined until a row has all its delimiters: text with newlines is read
 * right as long as the first and the last column have none. Lines before a row that are none (a
 * site's banner, the `CLUSTER: name` of squeue) are dropped with the first column, rows with more
 * delimiters than columns are left out.
 */
export class TableReader {
  readonly #columns: readonly string[];
  readonly #take: (row: TableRow) => void;
  readonly #delimiter: string;
  /** The beginning of a line whose end has not come yet. */
  #rest = "";
  /** The lines of a row that has not all its delimiters yet. */
  #pending: string | undefined;

  constructor(
    columns: readonly string[],
    take: (row: TableRow) => void,
    delimiter: string = DELIMITER,
  ) {
    this.#columns = columns;
    this.#take = take;
    this.#delimiter = delimiter;
  }

  /** Reads the next piece of the output, wherever it was cut. */
  read(piece: string): void {
    let start = 0;
    for (let end = piece.indexOf("\n"); end >= 0; end = piece.indexOf("\n", start)) {
      this.#readLine(this.#rest + piece.slice(start, end));
      this.#rest = "";
      start = end + 1;
    }
    this.#rest += piece.slice(start);
  }

  /** Reads a last line that no newline ends. */
  end(): void {
    if (this.#rest !== "") this.#readLine(this.#rest);
    this.#rest = "";
  }

  #readLine(line: string): void {
    const joined = this.#pending === undefined ? line : `${this.#pending}\n${line}`;
    const values = joined.split(this.#delimiter);
    this.#pending = values.length < this.#columns.length ? joined : undefined;
    if (values.length !== this.#columns.length) return;
    values[0] = values[0]?.split("\n").at(-1) ?? "";
    this.#take(
      Object.fromEntries(this.#columns.map((column, at) => [column, values[at] ?? ""])),
    );
  }
}

/** Returns the rows of a whole output, as {@link TableReader} reads them. */
export function parseTable(
  stdout: string,
  columns: readonly string[],
  delimiter: string = DELIMITER,
): TableRow[] {
  const rows: TableRow[] = [];
  const reader = new TableReader(columns, (row) => rows.push(row), delimiter);
  reader.read(stdout);
  reader.end();
  return rows;
}
