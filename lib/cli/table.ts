import { painted, type Style } from "./style.ts";
import type { Terminal } from "./terminal.ts";
import { displayWidth, shorten } from "./width.ts";

/** One column of a table. */
export interface Column {
  readonly title: string;
  /** Whether its text may be shortened where the table is wider than the terminal. */
  readonly shrinks?: boolean;
  /** Of columns that one can do without, the one with the highest number is left out first. */
  readonly minor?: number;
  /** Numbers stand at the right. */
  readonly alignsRight?: boolean;
}

/** One cell; a list shows as many of its items as there is room for, and counts the others. */
export type Cell = string | StyledCell;

interface StyledCell {
  readonly text: string | readonly string[];
  readonly style?: Style;
}

/** A column that is shortened keeps so many columns of the terminal. */
const LEAST = 8;
/** Where minor columns can be left out for it, it keeps so many. */
const ENOUGH = 12;
const GAP = "  ";

/**
 * Returns the columns that there is room for on the terminal, as indices: minor ones are left out
 * until what is shortened is still readable.
 */
export function columnsWithRoom(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  { width }: Pick<Terminal, "width">,
): number[] {
  if (width === Infinity) return [...columns.keys()];
  const natural = columns.map((_, index) =>
    rows.reduce((most, row) => Math.max(most, displayWidth(wholeText(row[index] ?? ""))), 0)
  );
  const kept = [...columns.keys()];
  const least = (index: number) => {
    const { title = "", shrinks } = columns[index] ?? {};
    const whole = Math.max(title.length, natural[index] ?? 0);
    return shrinks === true ? Math.min(whole, ENOUGH) : whole;
  };
  const rank = (index: number) => columns[index]?.minor ?? 0;
  const total = () => kept.reduce((sum, index) => sum + least(index) + GAP.length, -GAP.length);
  while (total() > width) {
    const least = kept.reduce((one, other) => rank(other) > rank(one) ? other : one, kept[0] ?? 0);
    if (rank(least) === 0) break;
    kept.splice(kept.indexOf(least), 1);
  }
  return kept;
}

/** Returns columns and rows without the columns that {@link columnsWithRoom} leaves out. */
export function tableWithRoom(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  terminal: Pick<Terminal, "width" | "colour">,
): string[] {
  const kept = columnsWithRoom(columns, rows, terminal);
  return table(pick(columns, kept), rows.map((row) => pick(row, kept)), terminal);
}

/** Returns the items at some indices. */
export function pick<Item>(items: readonly Item[], indices: readonly number[]): Item[] {
  return indices.flatMap((index) => items[index] ?? []);
}

/**
 * Returns a table as lines with aligned columns. On a terminal it is as wide as that at most, and
 * its header and cells have their colours; elsewhere everything is shown whole.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  { width, colour }: Pick<Terminal, "width" | "colour">,
): string[] {
  const header = columns.map(({ title }): Cell => ({ text: title, style: "bold" }));
  const all = [header, ...rows];
  const widths = fit(
    columns,
    columns.map((_, index) =>
      all.reduce((most, row) => Math.max(most, displayWidth(wholeText(row[index] ?? ""))), 0)
    ),
    width,
  );
  return all.map((row) => {
    const line = row.map((cell, index) => {
      const columnWidth = widths[index] ?? 0;
      const text = fitted(cell, columnWidth);
      const space = " ".repeat(Math.max(0, columnWidth - displayWidth(text)));
      const shown = colour && typeof cell === "object" && cell.style !== undefined
        ? painted(text, cell.style)
        : text;
      if (columns[index]?.alignsRight === true) return space + shown;
      return index === row.length - 1 ? shown : shown + space;
    }).join(GAP).trimEnd();
    return line;
  });
}

/** Returns the columns' widths: the widest that may be are shortened, until all fit. */
function fit(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  const total = () => widths.reduce((sum, one) => sum + one, GAP.length * (widths.length - 1));
  for (let excess = total() - width; excess > 0; excess = total() - width) {
    const shrinking = [...columns.keys()].filter((index) =>
      columns[index]?.shrinks === true && (widths[index] ?? 0) > LEAST
    ).sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0));
    const [widest, next] = shrinking;
    if (widest === undefined) break;
    // Down to the next one, and then these two together.
    const goal = Math.max(LEAST, (next === undefined ? 0 : widths[next] ?? 0) - 1);
    widths[widest] = Math.max(goal, (widths[widest] ?? 0) - excess);
  }
  return widths;
}

function wholeText(cell: Cell): string {
  const text = typeof cell === "string" ? cell : cell.text;
  return typeof text === "string" ? text : text.join(" ");
}

function fitted(cell: Cell, width: number): string {
  const whole = wholeText(cell);
  if (displayWidth(whole) <= width) return whole;
  const items = typeof cell === "string" || typeof cell.text === "string" ? [] : cell.text;
  let best: string | undefined;
  let begun = "";
  for (const [index, item] of items.entries()) {
    begun += index === 0 ? item : ` ${item}`;
    const some = `${begun} … +${items.length - index - 1}`;
    if (displayWidth(some) > width) break;
    best = some;
  }
  return best ?? shorten(whole, width);
}
