import assert from "node:assert/strict";
import type { TestDataset } from "./dataset.ts";

/** What `status` and `finish` said of jobs, gathered for people who want to see it. */
export class StateTable {
  readonly #rows: string[] = [];

  constructor(readonly title: string) {}

  add(name: string, status: string, finish: string, code: number): void {
    const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", "; ");
    this.#rows.push(`| ${[name, status, finish, code].map((v) => cell(`${v}`)).join(" | ")} |`);
  }

  /** Appends the table to the file that `STATE_TABLE` names, if it does. */
  write(): void {
    const path = Deno.env.get("STATE_TABLE");
    if (path === undefined || path === "" || this.#rows.length === 0) return;
    const head = `\n${this.title}\n\n| job | status | finish | exit code |\n|---|---|---|---|\n`;
    Deno.writeTextFileSync(path, `${head}${this.#rows.join("\n")}\n`, { append: true });
  }
}

/** One open job of a dataset, and what the tool shows of it. */
export class Shown {
  constructor(
    readonly dataset: TestDataset,
    readonly id: string,
    private readonly table: StateTable,
  ) {}

  /**
   * Checks the words of `status` and `finish` for the job's state, and the exit code of `finish`;
   * `talk` must be on the stderr of `finish`, and on that of `status` for a job that is not over.
   */
  async says(
    name: string,
    code: number,
    words: RegExp,
    talk: RegExp | undefined = undefined,
  ): Promise<void> {
    const status = await this.dataset.tool(["status", this.id]);
    const state = this.stateIn(status.stdout);
    const finish = await this.dataset.tool(["finish", this.id]);
    const line = /^Job \d+: (.*)$/m.exec(finish.stdout)?.[1] ?? "";
    const said = line.replace(/ as [0-9a-f]{10}$/, "");
    this.table.add(name, state, said, finish.code);
    assert.match(state, words, `status, ${name}: ${status.stdout}${status.stderr}`);
    assert.equal(status.code, 0, `status, ${name}: ${status.stderr}`);
    assert.equal(finish.code, code, `finish, ${name}: ${finish.stdout}${finish.stderr}`);
    const label = /^[^(]*/.exec(state)?.[0].trim() ?? "";
    assert.ok(said.startsWith(label), `finish, ${name}: ${said}, where status has ${label}`);
    assert.match(said, code === 0 ? /, committed$/ : /, left open$/);
    if (talk === undefined) return;
    assert.match(finish.stderr, talk);
    // What is to be done about a job that is over is a question to finish alone.
    if (/^(?:Unknown|Pending)/.test(state)) assert.match(status.stderr, talk, `status, ${name}`);
  }

  /** Returns the STATE of the job's line: what stands between its id and the time. */
  private stateIn(stdout: string): string {
    const row = new RegExp(`^[0-9a-f]{10} +${this.id} +(.*?)(?: {2,}|$)`, "m");
    return row.exec(stdout)?.[1] ?? "";
  }
}
