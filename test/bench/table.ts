import type { Measured } from "./measure.ts";

/** One line of the table: something measured, and what it is measured against. */
export interface Row {
  readonly subject: Measured;
  readonly reference: Measured;
  /** What DESIGN.md allows. */
  readonly budget?: Budget;
}

/** A limit for the ratio of times or of memory, or for the milliseconds of each of so many jobs. */
export type Budget =
  | { readonly ratio: number }
  | { readonly memoryRatio: number }
  | { readonly jobs: number; readonly millisecondsAJob: number };

const HEADINGS = ["measured", "median", "RSS", "against", "median", "RSS", "ratio", "budget", ""];

/** The columns that hold text; numbers are aligned at their ends. */
const TEXT_COLUMNS = new Set([0, 3, 7, 8]);

/** Returns the table as lines of text. */
export function tableLines(rows: readonly Row[]): string[] {
  const cells = [HEADINGS, ...rows.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => width(row[column]))));
  const lines = cells.map((row) =>
    row.map((cell, column) => {
      const space = " ".repeat((widths[column] ?? 0) - width(cell));
      return TEXT_COLUMNS.has(column) ? cell + space : space + cell;
    }).join("  ").trimEnd()
  );
  return lines.toSpliced(1, 0, widths.map((length) => "-".repeat(length)).join("  ").trimEnd());
}

function cellsOf({ subject, reference, budget }: Row): string[] {
  return [
    subject.name,
    ...figures(subject),
    reference.name,
    ...figures(reference),
    `${ratioOf(subject, reference).toFixed(2)}×`,
    ...(budget === undefined ? ["", ""] : verdict(subject, reference, budget)),
  ];
}

function figures({ milliseconds, peakMemory }: Measured): string[] {
  return [
    `${milliseconds.toFixed(milliseconds < 100 ? 1 : 0)} ms`,
    peakMemory === undefined ? "?" : `${Math.round(peakMemory / 2 ** 20)} MiB`,
  ];
}

function verdict(subject: Measured, reference: Measured, budget: Budget): string[] {
  if ("ratio" in budget) {
    return [`≤ ${budget.ratio}×`, mark(ratioOf(subject, reference), budget.ratio)];
  }
  if ("memoryRatio" in budget) {
    const ratio = (subject.peakMemory ?? NaN) / (reference.peakMemory ?? NaN);
    return [
      `≤ ${budget.memoryRatio}× memory`,
      `${mark(ratio, budget.memoryRatio)} (${ratio.toFixed(2)}×)`,
    ];
  }
  const each = subject.milliseconds / budget.jobs;
  return [
    `≤ ${budget.millisecondsAJob} ms a job`,
    `${mark(each, budget.millisecondsAJob)} (${each.toFixed(2)} ms)`,
  ];
}

function mark(value: number, limit: number): string {
  return value <= limit ? "met" : "MISSED";
}

function ratioOf(subject: Measured, reference: Measured): number {
  return subject.milliseconds / reference.milliseconds;
}

function width(cell: string | undefined): number {
  return [...cell ?? ""].length;
}
