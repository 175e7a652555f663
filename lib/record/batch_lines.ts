import * as z from "zod/mini";

/**
 * Lists of jobs, as `schedule --batch` reads them: JSON objects, one a line, or a table of
 * comma-separated values with a header (RFC 4180). Which of the two it is, its first character says.
 */

/** What one line of a batch says of its job. */
export interface BatchLine {
  /** Where it begins, counted from 1. */
  readonly line: number;
  /** A command line for the shell, or words; undefined where the command line of the tool has it. */
  readonly command: readonly string[] | undefined;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly message: string | undefined;
  /** What placeholders stand for: the columns of a table, or further members of an object. */
  readonly values: ReadonlyMap<string, string>;
  /** Whether a value that no placeholder asks for is a mistake: a misspelt member, for instance. */
  readonly isStrict: boolean;
}

/** What is wrong with one line of a batch. */
export interface BatchFault {
  readonly line: number;
  readonly message: string;
}

/** What {@link parseBatch} returns: all lines that are right, and all that are wrong. */
export interface ParsedBatch {
  readonly lines: readonly BatchLine[];
  readonly faults: readonly BatchFault[];
}

/** Reads a batch; empty lines are passed over. */
export function parseBatch(content: string): ParsedBatch {
  const text = content.replace(/^\ufeff/, "");
  return /^\s*\{/.test(text) ? parseObjects(text) : parseTable(text);
}

const NAME = /^[A-Za-z_][\w-]*$/;

/** Builds the schema of one object; only a batch needs it. */
function buildShape() {
  const texts = z.union([z.string(), z.array(z.string())], { error: "is not text or texts" });
  return z.catchall(
    z.object({
      command: z.optional(
        z.custom<string | [string, ...string[]]>(isCommand, {
          error: "is neither a command line nor a list of words",
        }),
      ),
      inputs: z.optional(texts),
      outputs: z.optional(texts),
      message: z.optional(z.string({ error: "is not text" })),
    }),
    z.union([z.string(), z.number(), z.boolean()], { error: "is not text, a number or a boolean" }),
  );
}

function isCommand(value: unknown): boolean {
  const words = typeof value === "string" ? [value] : value;
  return Array.isArray(words) && words.length > 0 &&
    words.every((word) => typeof word === "string" && !word.includes("\0"));
}

function parseObjects(text: string): ParsedBatch {
  const shape = buildShape();
  const lines: BatchLine[] = [];
  const faults: BatchFault[] = [];
  for (const [index, row] of text.split("\n").entries()) {
    const line = index + 1;
    if (row.trim() === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(row);
    } catch (error) {
      // V8 counts the lines of the one that it was given.
      const reason = error instanceof Error ? error.message : String(error);
      faults.push({ line, message: `It is not JSON: ${reason.replace(/ \(line .*\)$/, "")}` });
      continue;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      faults.push({ line, message: "It is not a JSON object" });
      continue;
    }
    const result = z.safeParse(shape, value);
    if (!result.success) {
      const [issue] = result.error.issues;
      faults.push({ line, message: `"${issue?.path.join(".")}" ${issue?.message}` });
      continue;
    }
    const { command, inputs, outputs, message, ...values } = result.data;
    const list = (one: string | string[] | undefined) =>
      one === undefined ? [] : typeof one === "string" ? [one] : one;
    lines.push({
      line,
      command: command === undefined ? undefined : list(command),
      inputs: list(inputs),
      outputs: list(outputs),
      message,
      values: new Map(Object.entries(values).map(([name, given]) => [name, `${given}`])),
      isStrict: true,
    });
  }
  return { lines, faults };
}

function parseTable(text: string): ParsedBatch {
  const [header, ...rows] = splitTable(text);
  if (header === undefined) return { lines: [], faults: [] };
  const names = header.fields.map((name) => name.trim());
  const faults: BatchFault[] = [];
  for (const [index, name] of names.entries()) {
    if (!NAME.test(name)) {
      faults.push({
        line: header.line,
        message: `The header has ${JSON.stringify(name)}, which is no name for a column: ` +
          "letters, digits, - and _ make one",
      });
    } else if (names.indexOf(name) < index) {
      faults.push({ line: header.line, message: `The header has "${name}" twice` });
    }
  }
  if (faults.length > 0) return { lines: [], faults };
  const lines: BatchLine[] = [];
  for (const { line, fields, fault } of rows) {
    if (fault !== undefined) faults.push({ line, message: fault });
    else if (fields.length !== names.length) {
      faults.push({
        line,
        message: `The header has ${names.length} columns, and this line ${
          fields.length === 1 ? "1 value" : `${fields.length} values`
        }`,
      });
    } else {
      lines.push({
        line,
        command: undefined,
        inputs: [],
        outputs: [],
        message: undefined,
        values: new Map(names.map((name, index) => [name, fields[index] ?? ""])),
        isStrict: false,
      });
    }
  }
  return { lines, faults };
}

interface TableRow {
  readonly line: number;
  readonly fields: readonly string[];
  readonly fault?: string;
}

/** Splits comma-separated values; what stands in double quotes may hold commas and newlines. */
function splitTable(text: string): TableRow[] {
  const rows: TableRow[] = [];
  // A value, in quotes or not, and what ends it. It matches at every place, if only the rest.
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n][^,\r\n]*|))(,|\r?\n|$)|([^\n]*)(?:\n|$)/y;
  let line = 1;
  let at = 1;
  let fields: string[] = [];
  while (field.lastIndex < text.length || fields.length > 0) {
    const match = field.exec(text);
    if (match === null) break;
    const [whole, quoted, plain = "", end = "", broken] = match;
    at += whole.split("\n").length - 1;
    if (broken !== undefined) {
      rows.push({ line, fields: [], fault: "Its quotes do not match" });
      fields = [];
      line = at;
      continue;
    }
    fields.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ",") continue;
    if (fields.length > 1 || fields[0] !== "") rows.push({ line, fields });
    fields = [];
    line = at;
  }
  return rows;
}
