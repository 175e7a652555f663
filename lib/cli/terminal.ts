/** Where a command writes: results to stdout, talk to stderr. */
export interface Terminal {
  /** Writes one line of a result. */
  result(line: string): void;
  /** Writes one line of talk. */
  say(line: string): void;
}

/** Returns a terminal on this process's stdout and stderr; a reader that went away is no error. */
export function processTerminal(): Terminal {
  return {
    result: (line) => write(Deno.stdout, line),
    say: (line) => write(Deno.stderr, line),
  };
}

function write(stream: { writeSync(bytes: Uint8Array): number }, line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  try {
    for (let written = 0; written < bytes.length;) {
      written += stream.writeSync(bytes.subarray(written));
    }
  } catch (error) {
    // `datalad-slurm status | head`
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
