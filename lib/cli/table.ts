/** Returns rows as lines with aligned columns; the last column is as wide as it is. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const widths = header.map((title, column) =>
    rows.reduce((width, row) => Math.max(width, [...(row[column] ?? "")].length), title.length)
  );
  return [header, ...rows].map((row) =>
    row.map((cell, column) =>
      column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - [...cell].length)
    ).join("  ").trimEnd()
  );
}
