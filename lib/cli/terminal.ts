import { wantsColour } from "../git/color.ts";
import type { OutputRecord } from "./json/records.ts";
import { painted, type Style } from "./style.ts";
import { shorten } from "./width.ts";

/** How a command shows its results and talks, as the options that all commands share ask. */
export interface Manner {
  /** No talk but warnings and errors. */
  readonly quiet: boolean;
  /** Tells of every program that is run. */
  readonly verbose: boolean;
  /** Results are JSON objects, one a line. */
  readonly json: boolean;
  /** `auto` stands for: on a terminal, unless NO_COLOR or git's `color.ui` forbids it. */
  readonly color: "auto" | "always" | "never";
}

/** Where a command writes, and what its reader can see: results on stdout, talk on stderr. */
export interface Terminal extends Pick<Manner, "quiet" | "verbose" | "json"> {
  /** Whether a person sees the results, and not a file or a program. */
  readonly isTerminal: boolean;
  /** The columns for a line of a result; without end where {@link isTerminal} is false. */
  readonly width: number;
  /** The lines that a screen has; without end where {@link isTerminal} is false. */
  readonly height: number;
  /** Whether results have colours. */
  readonly colour: boolean;
  /** Whether {@link progress} shows anything. */
  readonly showsProgress: boolean;
  /** Whether the reader of the results has gone away. */
  readonly isGone: boolean;
  /** Writes one line of a result, or several. */
  result(lines: string): void;
  /** Writes one object as a line of JSON. */
  record(record: OutputRecord): void;
  /** Writes one line of talk. */
  say(line: string): void;
  /** Says what the reader may do. */
  hint(text: string): void;
  /** Says what is not as it should be; also where talk is not wanted. */
  warn(text: string): void;
  /** Says what has failed, with further lines below, and what to do; also where talk is not wanted. */
  error(text: string, details?: readonly string[], hint?: string): void;
  /** Shows a line until the next one of any kind, or erases it; only where a person sees stderr. */
  progress(line: string | undefined): void;
  /** Returns the same terminal used in another manner. */
  as(manner: Partial<Manner>): Terminal;
}

const POLITE: Manner = { quiet: false, verbose: false, json: false, color: "auto" };

/** Returns a terminal on this process's stdout and stderr; a reader that went away is no error. */
export function processTerminal(): Terminal {
  return new ProcessTerminal(POLITE);
}

class ProcessTerminal implements Terminal {
  readonly #manner: Manner;
  #showsLine = false;
  #isGone = false;
  #isTerminal: boolean | undefined;
  #coloursTalk: boolean | undefined;
  #gitWantsColour: boolean | undefined;

  constructor(manner: Manner) {
    this.#manner = manner;
  }

  get quiet(): boolean {
    return this.#manner.quiet;
  }

  get verbose(): boolean {
    return this.#manner.verbose;
  }

  get json(): boolean {
    return this.#manner.json;
  }

  get isTerminal(): boolean {
    return this.#isTerminal ??= Deno.stdout.isTerminal();
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get width(): number {
    return this.isTerminal ? consoleSize().columns : Infinity;
  }

  get height(): number {
    return this.isTerminal ? consoleSize().rows : Infinity;
  }

  get colour(): boolean {
    return this.#hasColour(this.isTerminal);
  }

  get showsProgress(): boolean {
    return !this.quiet && Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb";
  }

  result(lines: string): void {
    this.progress(undefined);
    if (!write(Deno.stdout, `${lines}\n`)) this.#isGone = true;
  }

  record(record: OutputRecord): void {
    this.result(JSON.stringify(record));
  }

  say(line: string): void {
    if (!this.quiet) this.#talk(line);
  }

  hint(text: string): void {
    if (!this.quiet) this.#talk(text, "Hint", "cyan");
  }

  warn(text: string): void {
    this.#talk(text, "Warning", "yellow");
  }

  error(text: string, details: readonly string[] = [], hint?: string): void {
    this.#talk(text, "Error", "red");
    for (const line of details) this.#talk(`  ${line}`);
    if (hint !== undefined) this.#talk(hint, "Hint", "cyan");
  }

  progress(line: string | undefined): void {
    if (line === undefined) {
      if (this.#showsLine) write(Deno.stderr, "\r\x1b[K");
      this.#showsLine = false;
    } else if (this.showsProgress) {
      // A line that fills the terminal would be wrapped by some.
      write(Deno.stderr, `\r${shorten(line, consoleSize().columns - 1)}\x1b[K`);
      this.#showsLine = true;
    }
  }

  as(manner: Partial<Manner>): Terminal {
    return new ProcessTerminal({ ...this.#manner, ...manner });
  }

  #talk(text: string, label?: string, style: Style = "bold"): void {
    this.progress(undefined);
    if (label === undefined) {
      write(Deno.stderr, `${text}\n`);
      return;
    }
    this.#coloursTalk ??= this.#hasColour(Deno.stderr.isTerminal());
    const shown = this.#coloursTalk ? painted(`${label}:`, style) : `${label}:`;
    write(Deno.stderr, `${shown} ${text}\n`);
  }

  #hasColour(isTerminal: boolean): boolean {
    const { color } = this.#manner;
    if (color !== "auto") return color === "always";
    return isTerminal && !Deno.env.get("NO_COLOR") && Deno.env.get("TERM") !== "dumb" &&
      (this.#gitWantsColour ??= wantsColour());
  }
}

/** A terminal that does not know its size, such as a serial line, says 0. */
function consoleSize(): { readonly columns: number; readonly rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    return { columns: 80, rows: 24 };
  }
}

/** Writes text and returns whether there is anybody to read it: `datalad-slurm log | head`. */
function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): boolean {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let written = 0; written < bytes.length;) {
      written += stream.writeSync(bytes.subarray(written));
    }
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    return false;
  }
}
