import { isOnPath } from "./pseudo_terminal.ts";
import { until } from "./real_slurm.ts";
import { output, runProgram } from "./scratch.ts";

/** Whether there is no tmux here. */
export const noTmux = !isOnPath("tmux");

/** A shell on a terminal whose screen can be read. */
export class TmuxSession implements AsyncDisposable {
  readonly #env: Record<string, string>;

  private constructor(directory: string, env: Readonly<Record<string, string>>) {
    this.#env = { ...env, TMUX_TMPDIR: directory, TERM: "xterm-256color" };
  }

  /** Opens a terminal of 80 columns; `directory` is for tmux itself. */
  static async open(
    directory: string,
    cwd: string,
    env: Readonly<Record<string, string>>,
  ): Promise<TmuxSession> {
    const session = new TmuxSession(directory, env);
    await session.#tmux(
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      "-x",
      "80",
      "-y",
      "24",
      "-c",
      cwd,
      [
        "env",
        "PS1=$ ",
        "sh",
        "-i",
      ].map((word) => `'${word}'`).join(" "),
    );
    await session.until("the prompt", (screen) => screen.startsWith("$"));
    return session;
  }

  /** Types a command line. */
  async type(line: string): Promise<void> {
    await this.#tmux("send-keys", "-l", line);
    await this.#tmux("send-keys", "Enter");
  }

  /** Returns the screen, without the empty lines at its end. */
  async screen(): Promise<string> {
    return (await this.#tmux("capture-pane", "-p")).trimEnd();
  }

  /** Waits until the screen is so, and returns it. */
  async until(what: string, holds: (screen: string) => boolean): Promise<string> {
    let screen = "";
    try {
      await until(`the screen shows ${what}`, async () => {
        screen = await this.screen();
        return holds(screen);
      });
    } catch (error) {
      throw new Error(`It shows:\n${screen}`, { cause: error });
    }
    return screen;
  }

  /** Empties the screen. */
  async clear(): Promise<void> {
    await this.type("clear");
    await this.until("nothing else", (screen) => screen === "$");
  }

  async #tmux(...args: string[]): Promise<string> {
    return await output(["tmux", "-L", "test", ...args], { cwd: "/", env: this.#env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const options = { cwd: "/", env: this.#env };
    await runProgram(["tmux", "-L", "test", "kill-server"], options);
  }
}
