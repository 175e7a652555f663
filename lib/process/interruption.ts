import { ToolError } from "../errors.ts";

/**
 * Ctrl-C and the signals that Slurm sends before it kills. The first one ends waiting and the
 * programs that were started, but lets a critical section come to its end; the second one ends the
 * process at once, which the journal survives.
 */

const controller = new AbortController();
/** What ends each program that is running; it is told whether the program is overdue. */
const children = new Set<(overdue: boolean) => void>();
let critical = 0;
let handedOver = 0;

/** Aborted by the first signal. */
export const interruption: AbortSignal = controller.signal;

/** Begins to watch for signals; `notice` is told of the first one. */
export function watchSignals(notice: (signal: string) => void): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      if (signal === "SIGINT" && handedOver > 0) return;
      if (interruption.aborted) Deno.exit(130);
      notice(signal);
      controller.abort(
        new ToolError("interrupted", `Interrupted by ${signal}`, {
          hint: "Nothing is lost: see where things stand with datalad-slurm status",
        }),
      );
      if (critical === 0) { for (const kill of children) kill(false); }
    });
  }
}

/** Throws a {@link ToolError} of kind `interrupted` once a signal has come. */
export function throwIfInterrupted(): void {
  interruption.throwIfAborted();
}

/** Does work that a signal must not cut short; the signal takes effect after it. */
export async function uninterrupted<T>(work: () => Promise<T>): Promise<T> {
  critical++;
  try {
    return await work();
  } finally {
    critical--;
  }
}

/** Does work during which Ctrl-C is for a program that has the terminal, such as a pager. */
export async function leavingInterrupts<T>(work: () => Promise<T>): Promise<T> {
  handedOver++;
  try {
    return await work();
  } finally {
    handedOver--;
  }
}

/** Whether a critical section is being passed: its programs must not see Ctrl-C either. */
export function isUninterrupted(): boolean {
  return critical > 0;
}

/**
 * Waits a random half more or less than so many milliseconds, so that those who wait do not look in
 * step; a signal ends the wait at once, but not in a critical section.
 */
export function pause(milliseconds: number): Promise<void> {
  return sleep(milliseconds * (0.5 + Math.random()));
}

/** Waits for so many milliseconds; a signal ends the wait at once, but not in a critical section. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    if (critical === 0) interruption.addEventListener("abort", done);
    function done(): void {
      clearTimeout(timer);
      interruption.removeEventListener("abort", done);
      resolve();
    }
  });
}

/** Ends all programs that were started: what waits for them has waited for too long. */
export function endOverduePrograms(): void {
  for (const kill of children) kill(true);
}

/** Has a program ended by the first signal; returns the function that stops this. */
export function killedBySignal(kill: (overdue: boolean) => void): () => void {
  children.add(kill);
  return () => children.delete(kill);
}
