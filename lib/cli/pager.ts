import { pagerCommand } from "../git/pager.ts";
import { Pager } from "../process/page.ts";
import type { Terminal } from "./terminal.ts";

/** Returns whether so many lines, and the prompt below them, fit on the screen. */
export function fitsScreen(lines: number, { height }: Pick<Terminal, "height">): boolean {
  return lines < height;
}

/** Shows the lines of a result: see {@link LongResult}. */
export async function showLong(
  lines: readonly string[],
  terminal: Terminal,
  directory: string,
): Promise<void> {
  const result = new LongResult(terminal, directory);
  await result.show(lines);
  await result.end();
}

/**
 * Shows a result line by line as it comes; on a terminal that has not room for all of it through the
 * pager that git would use in a directory.
 */
export class LongResult {
  readonly #terminal: Terminal;
  readonly #directory: string;
  /** Lines on a terminal that may all fit on the screen, or that the pager may not have shown. */
  #held: string[] = [];
  #pager: Pager | undefined;
  #isFlowing: boolean;

  constructor(terminal: Terminal, directory: string) {
    this.#terminal = terminal;
    this.#directory = directory;
    this.#isFlowing = !terminal.isTerminal;
  }

  /** Whether the reader has gone away. */
  get isGone(): boolean {
    return this.#terminal.isGone || this.#pager?.isGone === true;
  }

  async show(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    if (this.#pager === undefined && this.#isFlowing) {
      return this.#terminal.result(lines.join("\n"));
    }
    this.#held.push(...lines);
    if (this.#pager !== undefined) return await this.#givePager(lines);
    if (fitsScreen(this.#held.length, this.#terminal)) return;
    this.#isFlowing = true;
    const command = await pagerCommand(this.#directory);
    if (command === undefined) return this.#flush();
    this.#pager = new Pager(command);
    await this.#givePager(this.#held);
  }

  async end(): Promise<void> {
    if (await this.#pager?.end() === true) return;
    this.#flush();
  }

  async #givePager(lines: readonly string[]): Promise<void> {
    await this.#pager?.write(`${lines.join("\n")}\n`);
    if (this.#pager?.isGone !== true || await this.#pager.end()) return;
    // It could not be run.
    this.#pager = undefined;
    this.#flush();
  }

  #flush(): void {
    if (this.#held.length > 0) this.#terminal.result(this.#held.join("\n"));
    this.#held = [];
  }
}
