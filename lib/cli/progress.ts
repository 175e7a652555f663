/**
 * Returns a function that shows on one line of a terminal how far long work has come; it shows
 * nothing where stderr is no terminal.
 */
export function progressLine(
  what: string,
): ((done: number, all: number, bytes?: number) => void) | undefined {
  if (!Deno.stderr.isTerminal()) return undefined;
  const started = performance.now();
  let shown = 0;
  return (done, all, bytes) => {
    const now = performance.now();
    // Not at once: short work needs no progress, and not for every file.
    if (now - started < 500 || now - shown < 100 && done < all) return;
    shown = now;
    const amount = bytes === undefined ? "" : `, ${readableBytes(bytes)}`;
    const line = `${what}: ${done} of ${all}${amount}`;
    Deno.stderr.writeSync(
      new TextEncoder().encode(`\r${line}\x1b[K${done === all ? "\n" : ""}`),
    );
  };
}

/** Returns a number of bytes for people: `512 B`, `3.4 MB`. */
export function readableBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
