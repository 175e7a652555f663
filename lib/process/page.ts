import { leavingInterrupts } from "./interruption.ts";

/**
 * Shows text through a pager, which is a shell command, until its reader leaves it. Returns false
 * when the command could not be run and the text was not shown.
 */
export async function page(command: string, text: string): Promise<boolean> {
  const child = new Deno.Command("/bin/sh", {
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
  // Ctrl-C belongs to the pager.
  return await leavingInterrupts(async () => {
    const writer = child.stdin.getWriter();
    try {
      await writer.write(new TextEncoder().encode(text));
      await writer.close();
    } catch {
      // The reader has seen enough.
    }
    const { code } = await child.status;
    return code !== 126 && code !== 127;
  });
}
