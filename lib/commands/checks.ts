/** One thing that `doctor` has looked at. */
export interface Check {
  /** What it is about, in a word or two. */
  readonly name: string;
  /** A problem keeps commands from working; a warning is something to know. */
  readonly verdict: "ok" | "warning" | "problem";
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

export function ok(name: string, message: string): Check {
  return { name, verdict: "ok", message };
}

export function warning(name: string, message: string, hint: string): Check {
  return { name, verdict: "warning", message, hint };
}

export function problem(name: string, message: string, hint: string): Check {
  return { name, verdict: "problem", message, hint };
}

/** Whether a version such as `2.39.5` is at least another one; numbers alone are compared. */
export function isAtLeast(version: string, least: string): boolean {
  const numbers = (text: string) => (text.match(/\d+/g) ?? []).map(Number);
  const [have, want] = [numbers(version), numbers(least)];
  for (const [at, number] of want.entries()) {
    if ((have[at] ?? 0) !== number) return (have[at] ?? 0) > number;
  }
  return true;
}
