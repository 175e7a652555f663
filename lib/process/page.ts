import { leavingInterrupts } from "./interruption.ts";

/** A pager, which is a shell command, with a reader before it. */
export class Pager {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #status: Promise<Deno.CommandStatus>;
  /** Whether the reader has left. */
  isGone = false;

  /** Starts it. Ctrl-C belongs to the pager until it has ended. */
  constructor(command: string) {
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", command],
      // As git has it: colours are shown, and what fits on the screen does not wait for a key.
      env: {
        LESS: Deno.env.get("LESS") ?? "FRX",
        LV: Deno.env.get("LV") ?? "-c",
      },
      stdin: "piped",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#status = leavingInterrupts(() => this.#child.status);
  }

  /** Gives it text; resolves when that is taken, or the reader has left. */
  async write(text: string): Promise<void> {
    try {
      await this.#writer.write(new TextEncoder().encode(text));
    } catch {
      // The reader has seen enough.
      this.isGone = true;
    }
  }

  /** Waits until the reader leaves it; returns false when the command could not be run. */
  async end(): Promise<boolean> {
    try {
      await this.#writer.close();
    } catch {
      // The same.
    }
    const { code } = await this.#status;
    return code !== 126 && code !== 127;
  }
}
