import type { TestDataset } from "./dataset.ts";
import { toolArgv, toolEnvironment } from "./tool.ts";

/** A tool that is at work, with what it has said so far. */
export class Working implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(dataset: TestDataset, args: readonly string[]) {
    const [program = "", ...words] = [...toolArgv(), ...args];
    this.#child = new Deno.Command(program, {
      args: words,
      cwd: dataset.root,
      clearEnv: true,
      env: { ...dataset.env, ...toolEnvironment() },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#ended = Promise.all([
      this.#read(this.#child.stdout, (text) => this.stdout += text),
      this.#read(this.#child.stderr, (text) => this.stderr += text),
      this.#child.status,
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async code(): Promise<number> {
    await this.#ended;
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#ended;
  }
}
